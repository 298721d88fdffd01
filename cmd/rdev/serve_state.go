package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/store/sqlite"
)

// openDataDir makes the data folder, for its owner alone, and tries whether
// files can be made in it.
func openDataDir(dir string) error {
	if dir == "" {
		return usagef("there is no place for data: neither HOME nor XDG_DATA_HOME is set; name a folder with --data-dir")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return usagef("cannot make the data folder %s: %w; choose another with --data-dir", dir, cause(err))
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return usagef("cannot write in the data folder %s: %w; choose another with --data-dir", dir, cause(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// storeError says what to do about a data folder that does not open.
func storeError(dir string, err error) error {
	if errors.Is(err, sqlite.ErrInUse) || errors.Is(err, shim.ErrInUse) {
		return usagef("another rdev serve works in the data folder %s; stop that, or choose another with --data-dir", dir)
	}
	return fmt.Errorf("cannot open the data folder %s: %w", dir, err)
}

// adminKeyError says which setting is wrong. The text of the key is in no error.
func adminKeyError(c Config, err error) error {
	source := "RDEV_ADMIN_KEY"
	switch {
	case c.AdminKeyFile != "":
		source = c.AdminKeyFile
	case c.AdminKey.IsZero():
		source = localKeyPath(c.DataDir)
	}
	return usagef("the admin key in %s cannot be used: %w", source, err)
}

// commandEnv is what commands see of this process's environment: all but
// RDEV_* and the headers for a collector of OpenTelemetry, where keys are.
func commandEnv(environ []string) []string {
	env := make([]string, 0, len(environ))
	for _, kv := range environ {
		name, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		if strings.HasPrefix(name, "RDEV_") || strings.HasPrefix(name, "OTEL_") && strings.HasSuffix(name, "_HEADERS") {
			continue
		}
		env = append(env, kv)
	}
	return env
}

// serverlessEnv leaves out what Postgres clients take a password from, if the
// server has a database there: it may be the server's.
func serverlessEnv(env []string, database bool) []string {
	if !database {
		return env
	}
	return slices.DeleteFunc(env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "PGPASSWORD" || name == "PGPASSFILE" || name == "PGSERVICEFILE"
	})
}

// closing is for defer: it closes within the limit and adds the error to err.
func closing(err *error, limit time.Duration, close func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	*err = errors.Join(*err, close(ctx))
}

// tilde shortens a path in the home folder.
func (a *app) tilde(path string) string {
	home := a.getenv("HOME")
	if rel, err := filepath.Rel(home, path); home != "" && err == nil && filepath.IsLocal(rel) {
		return filepath.Join("~", rel)
	}
	return path
}
