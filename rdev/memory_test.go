package rdev_test

import (
	"testing"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/rdev/rdevtest"
)

func TestMemoryCommands(t *testing.T) {
	rdevtest.Commands(t, func(*testing.T) rdev.Commands { return rdev.NewMemoryCommands() })
}

func TestMemoryAudit(t *testing.T) {
	rdevtest.Audit(t, func(*testing.T) rdevtest.AuditSubject {
		s := rdev.NewMemoryCommands()
		return rdevtest.AuditSubject{
			Audit: s.Audit(), Commands: s,
			Edit: func(t *testing.T, seq uint64, old, new string) {
				if !s.Audit().Edit(seq, old, new) {
					t.Fatalf("row %d has no %s", seq, old)
				}
			},
			Delete: func(t *testing.T, seq uint64) {
				if !s.Audit().Delete(seq) {
					t.Fatalf("there is no row %d", seq)
				}
			},
		}
	})
}

func TestMemoryQueue(t *testing.T) {
	rdevtest.Queue(t, func(*testing.T) rdevtest.QueuedCommands { return rdev.NewMemoryCommands() })
}
