package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"github.com/spf13/pflag"
)

// vars is an environment of its own.
func vars(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func load(t *testing.T, getenv func(string) string, args ...string) (Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String("config", "", "")
	addFlags(flags, "serve")
	addFlags(flags, "client")
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags, getenv)
}

func TestConfig(t *testing.T) {
	home := t.TempDir()
	write := func(t *testing.T, text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}

	t.Run("HasDefaults", func(t *testing.T) {
		is := is.New(t)
		c, err := load(t, vars("HOME", home))
		is.NoErr(err)
		is.Equal(c.Addr, "127.0.0.1:8080")
		is.Equal(c.DataDir, filepath.Join(home, ".local/share/rdev"))
		is.Equal(c.ShutdownTimeout, 30*time.Second)
		is.Equal(len(c.Projects), 0)
	})
	t.Run("FlagsAreAboveVariablesAboveFileAboveDefaults", func(t *testing.T) {
		is := is.New(t)
		path := write(t, "addr: 127.0.0.1:1\nlog_level: debug\nmax_output: 7\nprojects: [a=/a, b=/b]\n")
		env := vars("HOME", home, "RDEV_CONFIG", path, "RDEV_ADDR", "127.0.0.1:2", "RDEV_MAX_TIMEOUT", "48h", "RDEV_LOG_LEVEL", "")
		c, err := load(t, env)
		is.NoErr(err)
		is.Equal(c.Addr, "127.0.0.1:2")
		is.Equal(c.LogLevel, "debug") // an empty variable is not set
		is.Equal(c.MaxOutput, int64(7))
		is.Equal(c.MaxTimeout, 48*time.Hour)
		is.Equal(c.Projects, []string{"a=/a", "b=/b"})

		c, err = load(t, env, "--addr=127.0.0.1:3", "--project=c=/c,d", "--project=e=/e", "--shutdown-timeout=1s")
		is.NoErr(err)
		is.Equal(c.Addr, "127.0.0.1:3")
		is.Equal(c.Projects, []string{"c=/c,d", "e=/e"})
		is.Equal(c.ShutdownTimeout, time.Second)
	})
	t.Run("AVariableHoldsAListWithCommas", func(t *testing.T) {
		is := is.New(t)
		c, err := load(t, vars("RDEV_PROJECTS", "a=/a,b=/b"))
		is.NoErr(err)
		is.Equal(c.Projects, []string{"a=/a", "b=/b"})
	})
	t.Run("IsFoundInTheUsersFolder", func(t *testing.T) {
		is := is.New(t)
		folder := t.TempDir()
		is.NoErr(os.MkdirAll(filepath.Join(folder, "rdev"), 0o700))
		is.NoErr(os.WriteFile(filepath.Join(folder, "rdev", "config.yaml"), []byte("output: jsonl\n"), 0o600))
		c, err := load(t, vars("XDG_CONFIG_HOME", folder))
		is.NoErr(err)
		is.Equal(c.Output, "jsonl")
	})
	t.Run("RefusesWhatItDoesNotKnow", func(t *testing.T) {
		for _, bad := range []struct{ file, want string }{
			{"adr: x\n", `there is no setting "adr"`},
			{"api_key: sesame\n", "api_key is a secret"},
			{"admin_key: sesame\n", "name that as admin_key_file"},
			{"output: xml\n", `output is "xml", want text, json or jsonl`},
			{"max_timeout: soon\n", "max_timeout"},
			{"max_timeout: 1m\n", "default_timeout 1h0m0s is above max_timeout 1m0s"},
			{"max_output: 0\n", "max_output must be more than nothing"},
			{"{", "cannot read the settings"},
		} {
			_, err := load(t, vars("HOME", home), "--config", write(t, bad.file))
			if err == nil || !strings.Contains(err.Error(), bad.want) {
				t.Errorf("%q: got %v, want %q", bad.file, err, bad.want)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("%q: the secret is in %q", bad.file, err)
			}
		}
		_, err := load(t, vars("RDEV_CONFIG", filepath.Join(home, "missing.yaml")))
		is.New(t).True(err != nil) // a file that was asked for must be there
	})
	t.Run("IsPrintedWithoutSecretsAndCanBeReadAgain", func(t *testing.T) {
		is := is.New(t)
		env := vars("HOME", home, "RDEV_ADMIN_KEY", "open sesame, and a long one at that", "RDEV_PROJECTS", "a=/a b,c=/\"d\"")
		c, err := load(t, env, "--log-level=warn")
		is.NoErr(err)
		var out bytes.Buffer
		is.NoErr(printConfig(&out, c))
		is.True(!strings.Contains(out.String(), "sesame"))
		is.True(strings.Contains(out.String(), "# admin_key: set\n"))
		is.True(strings.Contains(out.String(), "# api_key: not set\n"))
		again, err := load(t, vars(), "--config", write(t, out.String()))
		is.NoErr(err)
		is.Equal(again.Projects, c.Projects)
		is.Equal(again.LogLevel, "warn")
		is.Equal(again.DataDir, c.DataDir)
	})
	t.Run("ListsOfAddressesAreChecked", func(t *testing.T) {
		is := is.New(t)
		list, err := prefixes("trusted_proxies", []string{"10.0.0.0/8", "::1"})
		is.NoErr(err)
		is.Equal(len(list), 2)
		for _, bad := range []struct{ text, want string }{
			{"0.0.0.0/0", "trusts everybody"}, {"::/0", "trusts everybody"}, {"nginx", `trusted_proxies: "nginx"`},
		} {
			_, err := prefixes("trusted_proxies", []string{bad.text})
			is.True(err != nil && strings.Contains(err.Error(), bad.want))
		}
		_, err = prefixes("admin_addresses", []string{"0.0.0.0/0"}) // says what the default says
		is.NoErr(err)
	})
	t.Run("EverySettingIsDocumented", func(t *testing.T) {
		for _, s := range settings() {
			if s.key == "" || s.help == "" || s.scope != "client" && s.scope != "serve" {
				t.Errorf("the tags of %q are not complete", s.key)
			}
			if s.secret && s.flag != "" {
				t.Errorf("%s is a secret and has a flag", s.key)
			}
		}
	})
}
