package sqlite_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestAFullDiskLosesNothing fills a real, tiny file system.
func TestAFullDiskLosesNothing(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("mounting a tmpfs takes root: %v; TestAFileThatMayNotGrowLosesNothing does without", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	// Cleanups run last to first: the store is closed before the unmount.
	s := open(t, filepath.Join(folder, "rdev.db"), nil)
	ballast := filepath.Join(folder, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fillUp(t, s, func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	})
}
