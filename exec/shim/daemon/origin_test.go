package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/matryer/is"
)

func TestOrigin(t *testing.T) {
	t.Run("IsTheSameInOneRun", func(t *testing.T) {
		is := is.New(t)
		is.Equal(Origin(), Origin())
		is.Equal(len(Origin()), 32)
	})
	t.Run("StartTimeIsThatOfAProcessOfAnyName", func(t *testing.T) {
		is := is.New(t)
		is.Equal(startTime("1 (a) b (c) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 2 3"), "4711")
		is.Equal(startTime("1 (cut) S 0"), "")
		is.Equal(startTime(""), "")
	})
	t.Run("RootMountIsWhatMakesTheRunsRoot", func(t *testing.T) {
		is := is.New(t)
		const overlay = "5 4 0:30 / / rw,relatime master:9 - overlay overlay rw,lowerdir=/l/1/fs,upperdir=/s/42/fs,workdir=/s/42/work\n" +
			"6 5 0:31 / /proc rw - proc proc rw\n"
		is.Equal(rootMount(overlay), "/ overlay upperdir=/s/42/fs")
		is.Equal(rootMount("5 4 8:1 /snapshots/7/fs / ro - ext4 /dev/sda1 rw\n"), "/snapshots/7/fs /dev/sda1")
		is.Equal(rootMount("nonsense\n"), "")
	})
}

func TestSettle(t *testing.T) {
	t.Run("TheFolderIsThisRuns", func(t *testing.T) {
		is := is.New(t)
		dir := filepath.Join(t.TempDir(), "a", "state")
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if origin, err := settle(dir, ""); err != nil || origin != Origin() {
					t.Errorf("%q, %v", origin, err)
				}
			})
		}
		all.Wait()
		_, err := settle(dir, Origin())
		is.NoErr(err)
		entries, err := os.ReadDir(dir)
		is.NoErr(err)
		is.Equal(len(entries), 1)
	})
	t.Run("InAnotherRunItIsRefused", func(t *testing.T) {
		is := is.New(t)
		dir := filepath.Join(t.TempDir(), "state")
		_, err := settle(dir, "another")
		is.True(errors.Is(err, ErrElsewhere))
		_, err = os.Stat(dir)
		is.True(os.IsNotExist(err)) // nothing was made
		is.NoErr(os.Mkdir(dir, 0o700))
		is.NoErr(os.WriteFile(filepath.Join(dir, originName), []byte("another\n"), 0o600))
		_, err = settle(dir, "")
		is.True(errors.Is(err, ErrElsewhere))
		_, err = settle(dir, Origin())
		is.True(errors.Is(err, ErrElsewhere))
	})
}
