package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/orchard9/rdev/auth"
)

// maxKeyFile is the longest key file that is read.
const maxKeyFile = 4096

// readKey returns the key that a file holds, without white space around it.
func readKey(path string) (auth.Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return auth.Secret{}, fmt.Errorf("cannot read the key file %s: %w", path, cause(err))
	}
	if info.Size() > maxKeyFile {
		return auth.Secret{}, fmt.Errorf("the key file %s is too large for one", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return auth.Secret{}, fmt.Errorf("cannot read the key file %s: %w", path, cause(err))
	}
	key := strings.TrimSpace(string(text))
	if key == "" {
		return auth.Secret{}, fmt.Errorf("the key file %s is empty", path)
	}
	if strings.ContainsAny(key, " \t\r\n") {
		return auth.Secret{}, fmt.Errorf("the key file %s holds more than one key", path)
	}
	return auth.NewSecret(key), nil
}

// adminKey returns the key that may do everything: the configured one, or the
// one that was made at the first start. made says that this is the first start.
//
// A configured key is kept nowhere. The made one is kept in admin.key in the
// data folder, readable by its owner alone, and nowhere else: from there the
// command line on the same machine takes it. Deleting the file and starting
// again makes another one and ends the old.
func adminKey(c Config) (key auth.Secret, made bool, err error) {
	switch {
	case !c.AdminKey.IsZero() && c.AdminKeyFile != "":
		return auth.Secret{}, false, usagef("both RDEV_ADMIN_KEY and RDEV_ADMIN_KEY_FILE are set; keep one")
	case !c.AdminKey.IsZero():
		return c.AdminKey, false, nil
	case c.AdminKeyFile != "":
		key, err = readKey(c.AdminKeyFile)
		return key, false, err
	}
	path := localKeyPath(c.DataDir)
	key, err = readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key = auth.FormatKey(auth.NewKey())
	if err := writePrivate(path, key.Reveal()+"\n"); err != nil {
		return auth.Secret{}, false, fmt.Errorf("cannot keep the new admin key in %s: %w", path, cause(err))
	}
	return key, true, nil
}

// localKeyPath is where the key that was made at the first start is.
func localKeyPath(dataDir string) string { return filepath.Join(dataDir, "admin.key") }

// writePrivate replaces a file by one that its owner alone may read, at once
// and whole.
func writePrivate(path, text string) error {
	f, err := replacePrivate(path, text, func(*os.File) error { return nil })
	if err != nil {
		return err
	}
	return f.Close()
}

// replacePrivate is writePrivate, and returns the file. What before does is done
// before the file has its name.
func replacePrivate(path, text string, before func(*os.File) error) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), before(f))
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// cause is the reason in an error about a file, without the name again.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
