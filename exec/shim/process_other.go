//go:build !linux

package shim

import (
	"os"

	"golang.org/x/sys/unix"
)

// awaitExit returns when the process has exited. Here that reaps it.
func (p *process) awaitExit() {
	p.exit, p.exitErr = p.proc.Wait()
	p.waited = true
}

func widenPipe(*os.File) {}

func bootID() string { return "" }

func startTime(int) uint64 { return 0 }

func freeBytes(dir string) uint64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0
	}
	return uint64(fs.Bavail) * uint64(fs.Bsize)
}

func syncData(file *os.File) error { return file.Sync() }
