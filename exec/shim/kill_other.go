//go:build !linux

package shim

import (
	"time"

	"golang.org/x/sys/unix"
)

// pidSource has a meaning on Linux only.
type pidSource struct{}

func newPIDSource() pidSource { return pidSource{} }

// A tree is the processes of one command: here, without /proc, its process
// group and nothing that has left it.
type tree struct {
	leader int
	birth  *birth
}

func newTree(_ pidSource, leader int, _ uint64, _ time.Time, _ string) *tree {
	return &tree{leader: leader}
}

func (t *tree) remember() {}

func (t *tree) terminate() { _ = unix.Kill(-t.leader, unix.SIGTERM) }

func (t *tree) kill() []int {
	_ = unix.Kill(-t.leader, unix.SIGKILL)
	return nil
}

// killLost has no way to tell the processes that a dead engine has left from
// others that have their ids now.
func killLost(string, string, processRecord, bool) []int { return nil }
