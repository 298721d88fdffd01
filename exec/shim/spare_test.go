package shim_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// TestForgottenFoldersAreUsedAgain: with volatile records, and nothing of the old
// command is in them.
func TestForgottenFoldersAreUsedAgain(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	e := openEngine(t, dir, &shim.Options{Volatile: true})
	inodes := func() map[uint64]bool {
		all := map[uint64]bool{}
		for _, pattern := range []string{"spare/*", "v1/*"} {
			paths, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, path := range paths {
				if info, err := os.Stat(path); err == nil {
					all[info.Sys().(*syscall.Stat_t).Ino] = true
				}
			}
		}
		return all
	}
	seen := map[uint64]bool{}
	for n := range 60 {
		// Every third needs a second segment, and a longer record.
		cmd := shell(fmt.Sprintf("cmd-%d", n), fmt.Sprintf("echo the secret %d; : %s", n, strings.Repeat("x", n%3*4000)))
		if n%3 == 2 {
			cmd.Argv[2] = "yes $(printf %01000d 0) | head -n 6000; " + cmd.Argv[2]
		}
		out, result, err := run(t, e, cmd)
		is.NoErr(err)
		is.Equal(result.ExitCode, 0)
		is.Equal(string(out.lines[len(out.lines)-1].Data), fmt.Sprint("the secret ", n))
		is.NoErr(e.Forget(cmd.ID))
		for inode := range inodes() {
			seen[inode] = true
		}
		if n%10 == 9 {
			time.Sleep(20 * time.Millisecond) // a burst may make folders of its own
		}
	}
	is.True(len(seen) < 40) // of 60 commands
	is.NoErr(e.Close(context.Background()))
	_ = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			is.NoErr(err)
			if strings.Contains(string(data), "secret") {
				t.Errorf("%s has something of a forgotten command", path)
			}
		}
		return nil
	})
}

// TestSpares: folders for commands are made in advance again after that was
// impossible for a while.
func TestSpares(t *testing.T) {
	is := is.New(t)
	state := t.TempDir()
	e := openEngine(t, state, nil)
	spare := filepath.Join(state, "spare")
	count := func() int {
		entries, _ := os.ReadDir(spare)
		return len(entries)
	}
	is.True(settles(func() bool { return count() == 8 }))
	is.NoErr(os.RemoveAll(spare))
	is.NoErr(os.WriteFile(spare, nil, 0o600)) // nothing can be made
	for i := range 12 {
		_, _, err := run(t, e, command(fmt.Sprint("bad-", i), "true"))
		is.True(errors.Is(err, exec.ErrNotStarted))
	}
	time.Sleep(100 * time.Millisecond) // the last try has failed, too
	is.NoErr(os.Remove(spare))
	is.NoErr(os.Mkdir(spare, 0o700))
	for i := range 12 {
		_, _, err := run(t, e, command(fmt.Sprint("good-", i), "true"))
		is.NoErr(err)
	}
	is.True(settles(func() bool { return count() >= 4 }))
	is.NoErr(os.RemoveAll(spare)) // those that are ready are gone
	is.NoErr(os.Mkdir(spare, 0o700))
	for i := range 12 {
		_, _, err := run(t, e, command(fmt.Sprint("better-", i), "true"))
		is.NoErr(err)
	}
	is.True(settles(func() bool { return count() >= 4 }))
}
