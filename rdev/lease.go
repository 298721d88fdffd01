package rdev

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orchard9/rdev/exec"
)

// Leases is what Commands implement besides if several Services work over the
// same records: each unfinished command is owned by one of them at a time, for
// as long as it renews its lease. Times are those of the store's clock.
//
// A lease saves work and is no guard: two owners of one command cannot harm
// it, because the numbers of its lines come from the executor.
type Leases interface {
	// TTL is how long a lease lasts, from Insert (if the record has an Owner),
	// Claim or Renew on. A Service renews after a third of it.
	TTL() time.Duration
	// Claim makes owner the owner of up to limit unfinished commands that have
	// none or whose lease has run out, and returns them.
	Claim(ctx context.Context, owner string, limit int) ([]Command, error)
	// Renew extends the leases of owner on those of the commands that it still
	// holds and that have not ended, and returns them.
	Renew(ctx context.Context, owner string, ids []string) ([]Lease, error)
	// Release ends the leases that owner holds on the commands, so that
	// another can claim them at once.
	Release(ctx context.Context, owner string, ids []string) error
}

// A Lease is what Renew tells of a command.
type Lease struct {
	CommandID string
	// CancelRequested says that somebody asked for its cancellation, perhaps
	// through another Service.
	CancelRequested bool
}

// claimBatch is how many commands one Claim takes over.
const claimBatch = 50

// errLeaseLost ends the work of a Service on a command that another one has
// taken over. It leaves the command running.
var errLeaseLost = fmt.Errorf("rdev: another replica owns the command now: %w", exec.ErrDetached)

// keepLeases renews the leases of the running commands and claims those whose
// owner is gone, until the Service is closed.
//
// While the store stalls, the leases of owners that are well run out too. So a
// Service that has met a stall claims nothing until the store has been well for
// as long as a lease lasts, in which those owners renew.
func (s *Service) keepLeases(ctx context.Context) {
	ttl := s.leases.TTL()
	tick := time.NewTicker(ttl / 3)
	defer tick.Stop()
	var stalled time.Time
	for {
		began := time.Now()
		err := s.renew(ctx)
		if err == nil && time.Since(stalled) > ttl {
			err = s.claim(ctx)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrShuttingDown) {
			s.cfg.OnError(fmt.Errorf("rdev: keep leases: %w", err))
			stalled = time.Now()
		}
		if time.Since(began) > ttl/2 {
			stalled = time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) renew(ctx context.Context) error {
	s.mu.Lock()
	workers := make(map[string]*worker, len(s.running))
	ids := make([]string, 0, len(s.running))
	for id, w := range s.running {
		workers[id] = w
		ids = append(ids, id)
	}
	s.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids) // the same order in every replica: no deadlocks
	ctx, cancel := context.WithTimeout(ctx, s.leases.TTL())
	defer cancel()
	held, err := s.leases.Renew(ctx, s.cfg.Replica, ids)
	if err != nil {
		return err
	}
	for _, lease := range held {
		if lease.CancelRequested {
			workers[lease.CommandID].cancel(errCanceled)
		}
		delete(workers, lease.CommandID)
	}
	for _, w := range workers { // not held any more, or just ended
		if !w.ending.Load() {
			w.loseLease()
		}
	}
	return nil
}

func (s *Service) claim(ctx context.Context) error {
	for {
		if err := s.enter(); err != nil {
			return err
		}
		call, cancel := context.WithTimeout(ctx, s.leases.TTL())
		found, err := s.leases.Claim(call, s.cfg.Replica, claimBatch)
		cancel()
		s.workers.Done()
		if err != nil {
			return err
		}
		for _, cmd := range found {
			if err := s.enter(); err != nil {
				return err
			}
			s.launch(cmd, false)
		}
		if len(found) < claimBatch {
			return nil
		}
	}
}
