package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/matryer/is"
)

func TestTidy(t *testing.T) {
	is := is.New(t)
	folder := filepath.Join(t.TempDir(), ".rdev-0")
	state := func(name string, of tenant) string {
		dir := filepath.Join(folder, name)
		is.NoErr(os.MkdirAll(filepath.Join(dir, "v1", "cmd"), 0o700))
		if of.isKnown() {
			of.moveIn(dir)
		}
		return dir
	}
	file := func(name string, age time.Duration) string {
		path := filepath.Join(folder, name)
		is.NoErr(os.WriteFile(path, nil, 0o700))
		then := time.Now().Add(-age)
		is.NoErr(os.Chtimes(path, then, then))
		return path
	}
	web := func(generation int) tenant { return tenant{"uid/web", generation} }
	mine := state("state-mine", web(3))
	held := state("state-held", web(2))
	lock, err := lockStart(t.Context(), held)
	is.NoErr(err)
	defer lock.Close()
	self := file("rdev-shim-0123456789abcdef", 2*programAge)
	kept := []string{
		mine, held, self,
		state("state-later", web(4)), state("state-other", tenant{"uid/db", 1}), state("state-unknown", tenant{}),
		state("other", web(1)),
		file("rdev-shim-0000000000000001", programAge/2), file("rdev-shim-notes", 2*programAge),
	}
	gone := []string{
		state("state-earlier", web(2)), state("state-first", web(0)), state(".deleted-half", tenant{}),
		file("rdev-shim-0000000000000002", 2*programAge), file("rdev-shim-0000000000000002.17", 2*programAge), file("probe.4", 2*programAge),
	}
	web(3).tidy(mine, self)
	for _, path := range kept {
		_, err := os.Lstat(path)
		is.NoErr(err)
	}
	for _, path := range gone {
		_, err := os.Lstat(path)
		is.True(os.IsNotExist(err))
	}
}
