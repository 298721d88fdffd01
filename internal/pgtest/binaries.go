//go:build unix

package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// errMissing says what to do where there is no Postgres.
var errMissing = errors.New("no Postgres on this machine (looked for initdb and postgres in PATH, " +
	"`pg_config --bindir`, /usr/lib/postgresql/*/bin and Homebrew's folders): " +
	"install it with `apt-get install -y postgresql` (Debian, as root) or `brew install postgresql@17` (macOS), " +
	"or name another server in RDEV_TEST_DATABASE_URL")

// findBinaries returns the folder with initdb and postgres.
func findBinaries() (string, error) {
	var folders []string
	if path, err := exec.LookPath("initdb"); err == nil {
		// PATH often has a link to it alone, as with Homebrew.
		if real, err := filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
		folders = append(folders, filepath.Dir(path))
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
		folders = append(folders, found...)
	}
	for _, folder := range folders {
		if executable(filepath.Join(folder, "initdb")) && executable(filepath.Join(folder, "postgres")) {
			return folder, nil
		}
	}
	return "", errMissing
}

// version returns the major version in a folder's name, 0 if there is none.
func version(folder string) int {
	name := filepath.Base(filepath.Dir(folder))
	digits := strings.TrimLeftFunc(name, func(r rune) bool { return r < '0' || r > '9' })
	digits, _, _ = strings.Cut(digits, ".")
	n, _ := strconv.Atoi(digits)
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
