package rdev

import (
	"context"
	"time"
)

// A Backlog is what waits in the records, of all Services over them. Ages are
// never negative, and zero if nothing waits.
type Backlog struct {
	// Queued is how many commands are queued, and QueueAge how long ago the
	// oldest of them was made.
	Queued   int
	QueueAge time.Duration
	// Unowned is how many running commands no Service holds a lease on, and
	// LeaseAge how long ago the lease that was renewed the longest ago was. A
	// command that nobody takes over makes it grow beyond Leases.TTL. Both are
	// zero without Leases.
	Unowned  int
	LeaseAge time.Duration
}

// Backlogs is what Commands implement besides if they can tell what waits.
type Backlogs interface {
	Backlog(ctx context.Context) (Backlog, error)
}

// Backlog implements Backlogs.
func (m *MemoryCommands) Backlog(ctx context.Context) (Backlog, error) {
	if err := ctx.Err(); err != nil {
		return Backlog{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var b Backlog
	for _, c := range m.records {
		if c.State == StateQueued {
			b.Queued++
			b.QueueAge = max(b.QueueAge, time.Since(c.CreatedAt))
		}
	}
	return b, nil
}
