package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/server/client"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain ü 漢":     "plain ü 漢",
		"two\nlines":    "two\nlines",
		"\x1b[31mred":   `\x1b[31mred`,
		"a\rb\tc\x00":   `a\rb\tc\x00`,
		"\xff\xfe":      `\xff\xfe`,
		"\uFFFD":        "\uFFFD",
		"a\u202eb":      `a\u202eb`,
		"\x9b31m\u009b": `\x9b31m\u009b`,
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
	if got := cell("a\nb"); got != `a\nb` {
		t.Errorf("cell: %q", got)
	}
}

func TestSignalExit(t *testing.T) {
	for name, want := range map[string]int{"SIGHUP": 129, "SIGINT": 130, "SIGKILL": 137, "SIGSEGV": 139, "SIGTERM": 143, "SIGSYS": 159, "SIGNOSUCH": 137} {
		if got := signalExit(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func TestEndExit(t *testing.T) {
	code := func(n int) *int { return &n }
	for _, c := range []struct {
		end  client.End
		want int
	}{
		{client.End{State: client.Succeeded, ExitCode: code(0)}, 0},
		{client.End{State: client.Failed, ExitCode: code(3)}, 3},
		{client.End{State: client.Failed, ExitCode: code(-1), Signal: "SIGKILL"}, 137},
		{client.End{State: client.TimedOut, ExitCode: code(-1), Signal: "SIGTERM"}, exitTimeout},
		{client.End{State: client.Cancelled, ExitCode: code(0)}, exitInterrupted},
		{client.End{State: client.Failed, Code: client.CommandNotFound}, exitNotFound},
		{client.End{State: client.Failed, Code: client.NotExecutable}, exitRefused},
		{client.End{State: client.Lost, Code: client.CommandLost}, exitRdev},
	} {
		if got := endExit(c.end); got != c.want {
			t.Errorf("%+v: %d, want %d", c.end, got, c.want)
		}
	}
}

func TestExitCode(t *testing.T) {
	r := &remote{url: "http://x", keySource: "k"}
	answer := func(code client.Code) error { return r.explain(&client.Error{Code: code, Message: "m"}) }
	for _, c := range []struct {
		err             error
		mirrored, plain int
	}{
		{nil, 0, 0},
		{&exitError{code: 9}, 9, 9},
		{usagef("no"), exitRdev, exitUsage},
		{answer(client.Unauthenticated), exitRefused, exitAuth},
		{answer(client.Forbidden), exitRefused, exitAuth},
		{answer(client.CommandRejected), exitRefused, exitFailed},
		{answer(client.ProjectNotFound), exitNotFound, exitFailed},
		{answer(client.Internal), exitRdev, exitFailed},
		{errors.New("other"), exitRdev, exitFailed},
		{context.Canceled, exitInterrupted, exitFailed},
	} {
		if got := exitCode(c.err, true); got != c.mirrored {
			t.Errorf("%v, mirrored: %d, want %d", c.err, got, c.mirrored)
		}
		if got := exitCode(c.err, false); got != c.plain {
			t.Errorf("%v: %d, want %d", c.err, got, c.plain)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 12 * time.Millisecond: "12ms", 1500 * time.Millisecond: "1.5s", 42 * time.Second: "42s",
		61 * time.Second: "1m01s", 90 * time.Minute: "1h30m", 72 * time.Hour: "3d",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"exec/shim: cmd-1: lost": "cmd-1: lost",
		"cmd-1: lost":            "cmd-1: lost",
		"it went wrong":          "it went wrong",
		"":                       "",
	} {
		if got := plain(text); got != want {
			t.Errorf("plain(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{"": "''", "ls": "ls", "a b": "'a b'", "it's": `'it'\''s'`, "~": "'~'", "$x": "'$x'", "a=b": "a=b"} {
		if got := shellWord(text); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Run("TheMadeKeyIsKeptForItsOwnerAlone", func(t *testing.T) {
		is := is.New(t)
		c := Config{DataDir: t.TempDir()}
		key, made, err := adminKey(c)
		is.NoErr(err)
		is.True(made)
		info, err := os.Stat(localKeyPath(c.DataDir))
		is.NoErr(err)
		is.Equal(info.Mode().Perm(), os.FileMode(0o600))
		again, made, err := adminKey(c)
		is.NoErr(err)
		is.True(!made)
		is.Equal(again.Reveal(), key.Reveal())
		is.Equal(fmt.Sprint(key), "[redacted]")
	})
	t.Run("WhatIsNoKeyIsRefusedWithoutShowingIt", func(t *testing.T) {
		for name, text := range map[string]string{"empty": " \n", "two": "sesame one\nsesame two\n", "large": strings.Repeat("sesame", 1000)} {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readKey(path)
			if err == nil || strings.Contains(err.Error(), "sesame") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestCommandEnv(t *testing.T) {
	is := is.New(t)
	is.Equal(commandEnv([]string{"A=b", "RDEV_ADMIN_KEY=x", "rdev_api_key=x", "MY_RDEV_=y"}), []string{"A=b", "MY_RDEV_=y"})
	env := []string{"PGPASSWORD=x", "PGHOST=db", "PGPASSFILE=y"}
	is.Equal(serverlessEnv(slices.Clone(env), false), env)
	is.Equal(serverlessEnv(env, true), []string{"PGHOST=db"})
}
