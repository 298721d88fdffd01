package auth

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// maxUses bounds how many keys are noted between two flushes. The uses of
// others are not noted until then: the date is a help for people, not a record.
const maxUses = 16384

// flushTimeout bounds a flush in the background.
const flushTimeout = 10 * time.Second

// uses notes in memory when keys were last used and writes that to the store in
// batches, so that authenticating writes nothing.
type uses struct {
	keys  KeyStore
	every time.Duration
	now   func() time.Time

	stop context.CancelFunc
	done chan struct{}

	flushing sync.Mutex // held by one flush at a time

	mu     sync.Mutex
	noted  map[string]use
	closed bool
}

// use is when a key was last used, and what the store says about that.
type use struct{ at, stored time.Time }

// newUses starts the background flush; close ends it.
func newUses(keys KeyStore, every time.Duration, now func() time.Time) *uses {
	ctx, stop := context.WithCancel(context.Background())
	u := &uses{
		keys:  keys,
		every: every,
		now:   now,
		stop:  stop,
		done:  make(chan struct{}),
		noted: map[string]use{},
	}
	go u.run(ctx)
	return u
}

func (u *uses) run(ctx context.Context) {
	defer close(u.done)
	ticker := time.NewTicker(u.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			bounded, cancel := context.WithTimeout(ctx, flushTimeout)
			_ = u.flush(bounded, false) // what failed stays noted for the next time
			cancel()
		}
	}
}

func (u *uses) record(key Key, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	noted, known := u.noted[key.ID]
	if u.closed || !known && len(u.noted) >= maxUses || at.Before(noted.at) {
		return
	}
	u.noted[key.ID] = use{at: at, stored: key.LastUsedAt}
}

// flush writes what is due, or with all everything. What cannot be written
// stays noted.
func (u *uses) flush(ctx context.Context, all bool) error {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	due := u.due(all)
	if len(due) == 0 {
		return nil
	}
	if err := Used(ctx, u.keys, due); err != nil {
		return fmt.Errorf("auth: write last use: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, at := range due {
		if u.noted[id].at.Equal(at) {
			delete(u.noted, id)
		}
	}
	return nil
}

// due returns what to write.
func (u *uses) due(all bool) map[string]time.Time {
	now := u.now()
	u.mu.Lock()
	defer u.mu.Unlock()
	due := make(map[string]time.Time)
	for id, noted := range u.noted {
		if all || now.Sub(noted.stored) >= u.every {
			due[id] = noted.at
		}
	}
	return due
}

func (u *uses) close(ctx context.Context) error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.stop()
	<-u.done
	return u.flush(ctx, true)
}
