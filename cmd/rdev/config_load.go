package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/orchard9/rdev/auth"
)

// loadConfig puts the settings together: flags over RDEV_* over file over
// default. A variable that is empty counts as not set.
func loadConfig(flags *pflag.FlagSet, getenv func(string) string) (Config, error) {
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(defaults(getenv), "."), nil); err != nil {
		return Config{}, err
	}
	if err := loadFile(k, flags, getenv); err != nil {
		return Config{}, err
	}
	if err := k.Load(envProvider(getenv), nil); err != nil {
		return Config{}, err
	}
	if err := k.Load(flagProvider(flags, k), nil); err != nil {
		return Config{}, err
	}
	var c Config
	if err := k.Unmarshal("", &c); err != nil {
		return Config{}, usagef("a setting has a wrong form: %w", err)
	}
	c.APIKey = auth.NewSecret(strings.TrimSpace(getenv("RDEV_API_KEY")))
	c.AdminKey = auth.NewSecret(strings.TrimSpace(getenv("RDEV_ADMIN_KEY")))
	c.Peppers = auth.NewSecret(strings.TrimSpace(getenv("RDEV_PEPPERS")))
	c.DatabaseURL = auth.NewSecret(strings.TrimSpace(getenv("RDEV_DATABASE_URL")))
	c.DatabaseListenURL = auth.NewSecret(strings.TrimSpace(getenv("RDEV_DATABASE_LISTEN_URL")))
	return c, c.check()
}

func defaults(getenv func(string) string) map[string]any {
	values := map[string]any{}
	for _, s := range settings() {
		if s.fallback != "" {
			values[s.key] = s.fallback
		}
	}
	if dir := userFolder(getenv, "XDG_DATA_HOME", ".local/share"); dir != "" {
		values["data_dir"] = filepath.Join(dir, "rdev")
	}
	return values
}

// loadFile adds the settings of the file. One that was asked for must be there.
func loadFile(k *koanf.Koanf, flags *pflag.FlagSet, getenv func(string) string) error {
	path := getenv("RDEV_CONFIG")
	if f := flags.Lookup("config"); f != nil && f.Changed {
		path = f.Value.String()
	}
	asked := path != ""
	if !asked {
		dir := userFolder(getenv, "XDG_CONFIG_HOME", ".config")
		if dir == "" {
			return nil
		}
		path = filepath.Join(dir, "rdev", "config.yaml")
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !asked {
		return nil
	}
	layer := koanf.New(".")
	if err := layer.Load(file.Provider(path), yaml.Parser()); err != nil {
		return usagef("cannot read the settings in %s: %w", path, err)
	}
	known := map[string]setting{}
	for _, s := range settings() {
		known[s.key] = s
	}
	for key := range layer.Raw() {
		switch s, ok := known[key]; {
		case !ok:
			return usagef("%s: there is no setting %q", path, key)
		case s.secret:
			return usagef("%s: %s is a secret; put it into a file of its own and name that as %s_file", path, key, key)
		}
	}
	return k.Merge(layer)
}

// envProvider reads the variables of the settings, and no others: Kubernetes
// puts RDEV_PORT and the like into pods beside a service called rdev.
func envProvider(getenv func(string) string) koanf.Provider {
	known := map[string]setting{}
	var environ []string
	for _, s := range settings() {
		if value := getenv(s.env()); value != "" && !s.secret {
			known[s.env()] = s
			environ = append(environ, s.env()+"="+value)
		}
	}
	return env.Provider(".", env.Opt{
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			s := known[name]
			if s.kind == reflect.TypeFor[[]string]() {
				return s.key, strings.Split(value, ",")
			}
			return s.key, value
		},
	})
}

// flagProvider reads the flags that were given.
func flagProvider(flags *pflag.FlagSet, k *koanf.Koanf) koanf.Provider {
	keys := map[string]string{}
	for _, s := range settings() {
		if s.flag != "" {
			keys[s.flag] = s.key
		}
	}
	return posflag.ProviderWithFlag(flags, ".", k, func(f *pflag.Flag) (string, any) {
		if !f.Changed {
			return "", nil
		}
		return keys[f.Name], posflag.FlagVal(flags, f)
	})
}

// addFlags defines the flags of the settings that are for a part of the
// program.
func addFlags(flags *pflag.FlagSet, scope string) {
	addFlagsIf(flags, func(s setting) bool { return s.scope == scope })
}

// addFlagsIf defines the flags of the settings that are wanted. Their defaults
// are for the help text; those that count are in defaults, below the file and
// the environment.
func addFlagsIf(flags *pflag.FlagSet, wanted func(setting) bool) {
	for _, s := range settings() {
		if s.flag == "" || !wanted(s) {
			continue
		}
		help := fmt.Sprintf("%s (%s)", s.help, s.env())
		switch s.kind {
		case reflect.TypeFor[[]string]():
			flags.StringArrayP(s.flag, s.short, nil, help)
		case reflect.TypeFor[time.Duration]():
			value, _ := time.ParseDuration(s.fallback)
			flags.DurationP(s.flag, s.short, value, help)
		case reflect.TypeFor[int64]():
			var value int64
			_, _ = fmt.Sscan(s.fallback, &value)
			flags.Int64P(s.flag, s.short, value, help)
		default:
			flags.StringP(s.flag, s.short, s.fallback, help)
		}
	}
}

// userFolder is one of the XDG base folders, or its place in the home folder;
// empty if there is neither. A relative one is to be ignored (XDG Base
// Directory Specification 0.8).
func userFolder(getenv func(string) string, variable, inHome string) string {
	if dir := getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, filepath.FromSlash(inHome))
	}
	return ""
}
