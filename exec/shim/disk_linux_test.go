package shim_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/matryer/is"
	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// smallDisk mounts a file system of that many bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test mounts a tmpfs and needs root: run it as root, as CI does, or in a container")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	ctx := context.Background()

	t.Run("ACommandGoesOnAndItsOutputIsCounted", func(t *testing.T) {
		is := is.New(t)
		disk := smallDisk(t, "size=1m")
		e := openEngine(t, disk, &shim.Options{MinFree: -1})
		cmd := shell("full", "seq 1 1000000; exit 6")
		var out output
		workspace := t.TempDir()
		result, err := e.Execute(ctx, workspace, cmd, out.sink)
		is.NoErr(err)
		is.Equal(result.ExitCode, 6)
		is.True(result.Truncated)
		is.Equal(result.StdoutBytes, int64(6888896))
		is.Equal(result.Lines, uint64(len(out.lines)))
		is.True(result.Lines > 10_000 && result.Lines < 1_000_000)

		// Nothing else fits, and that leaves nothing behind.
		is.NoErr(fill(filepath.Join(disk, "filler")))
		_, err = e.Execute(ctx, workspace, shell("late", "true"), discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
		is.True(errors.Is(err, unix.ENOSPC))
		_, err = os.Stat(filepath.Join(disk, "v1", "late"))
		is.True(os.IsNotExist(err))

		// The outcome is on the full disk.
		is.NoErr(e.Close(ctx))
		e = openEngine(t, disk, &shim.Options{MinFree: -1})
		again, err := e.Execute(ctx, workspace, cmd, discard)
		is.NoErr(err)
		is.Equal(again.ExitCode, 6)
		is.NoErr(e.Close(ctx))
	})

	t.Run("ACommandThatFillsTheDiskItselfCanSayHowItEnded", func(t *testing.T) {
		is := is.New(t)
		disk := smallDisk(t, "size=1m")
		e := openEngine(t, filepath.Join(disk, "state"), &shim.Options{MinFree: -1})
		cmd := shell("filler", "cat /dev/zero >filler; echo end; exit 6")
		result, err := e.Execute(ctx, disk, cmd, discard)
		is.NoErr(err)
		is.Equal(result.ExitCode, 6)
		is.True(result.Truncated)
		is.NoErr(e.Close(ctx))
		e = openEngine(t, filepath.Join(disk, "state"), &shim.Options{MinFree: -1})
		again, err := e.Execute(ctx, disk, cmd, discard)
		is.NoErr(err)
		is.Equal(again.ExitCode, 6)
		is.NoErr(e.Close(ctx))
	})

	t.Run("BelowTheFloorNothingStarts", func(t *testing.T) {
		is := is.New(t)
		disk := smallDisk(t, "size=1m")
		e := openEngine(t, disk, &shim.Options{MinFree: 2 << 20})
		_, err := e.Execute(ctx, t.TempDir(), shell("floor", "true"), discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
		is.NoErr(e.Close(ctx))
	})
}

// fill takes all space that is left.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	block := make([]byte, 4096)
	for {
		if _, err := file.Write(block); errors.Is(err, unix.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
