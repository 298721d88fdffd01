package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/orchard9/rdev/exec"
)

// attach returns the command with the ID, which it starts if it is unknown.
func (x *Executor) attach(ctx context.Context, cmd exec.Command) (*command, error) {
	digest := cmd.Digest()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forgetOld()
	if c, err := x.join(cmd.ID, digest); c != nil || err != nil {
		return c, err
	}
	x.mu.Unlock()
	_, err := x.watcher.resolve(ctx, cmd.Target) // may ask the API server
	x.mu.Lock()
	if c, err := x.join(cmd.ID, digest); c != nil || err != nil {
		return c, err
	}
	switch {
	case x.closed:
		return nil, fmt.Errorf("%w: the executor is closed", exec.ErrNotStarted)
	case errors.Is(err, exec.ErrLost):
		return nil, err // which says what became of the pod
	case cmd.After > 0:
		// The caller has lines of it, so it ran, and this process does not know
		// it. It must not run again.
		return nil, fmt.Errorf("%w: it ran in direct mode and ended with the process that ran it", exec.ErrLost)
	case cmd.Resume:
		// Nothing but the process that ran it, if one did, could tell.
		return nil, fmt.Errorf("%w: if it ran, it was in direct mode, and it ended with the process that ran it", exec.ErrOutcomeUnknown)
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", exec.ErrNotStarted, context.Cause(ctx))
	}
	c := newCommand(x, cmd, digest)
	c.followers = 1
	x.commands[cmd.ID] = c
	x.work.Go(func() { x.run(c) })
	return c, nil
}

// join returns the command with the ID as its follower, or nil. The lock is
// held.
func (x *Executor) join(id, digest string) (*command, error) {
	c := x.commands[id]
	switch {
	case c == nil:
		return nil, nil
	case c.digest != digest:
		return nil, exec.ErrConflict
	}
	c.followers++
	return c, nil
}

func (x *Executor) detach(c *command) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c.followers--
}

// run makes attempts until one starts the command.
func (x *Executor) run(c *command) {
	started := time.Now()
	pauses := newBackOff()
	for {
		p, err := x.watcher.resolve(x.ctx, c.cmd.Target)
		if err == nil {
			err = c.attempt(p)
		}
		var f *failure
		again := errors.As(err, &f) && !f.final || err != nil && f == nil && errors.Is(err, exec.ErrTargetNotReady) && c.released.IsZero()
		pause := pauses.NextBackOff()
		if !again || c.isEndWanted() || time.Since(started)+pause > x.options.Patience {
			x.finish(c, err)
			return
		}
		select {
		case <-time.After(pause):
		case <-c.endWanted:
		case <-x.ctx.Done():
		}
	}
}

// finish ends a command. One that certainly did not start is not remembered.
func (x *Executor) finish(c *command, err error) {
	x.mu.Lock()
	if c.started || err == nil || isOutcome(err) {
		x.ended = append(x.ended, c)
	} else {
		delete(x.commands, c.cmd.ID)
	}
	x.mu.Unlock()
	c.finish(err)
}

func isOutcome(err error) bool {
	return errors.Is(err, exec.ErrProgramNotFound) || errors.Is(err, exec.ErrNotExecutable) || errors.Is(err, exec.ErrOutcomeUnknown) || errors.Is(err, exec.ErrLost)
}

// forgetOld forgets commands that ended long ago, or are too many. The lock is
// held.
func (x *Executor) forgetOld() {
	kept := x.ended[:0]
	surplus := len(x.ended) - x.options.MaxEnded
	for i, c := range x.ended {
		old := i < surplus || x.options.Retention > 0 && c.isDone() && time.Since(c.endTime()) > x.options.Retention
		if old && c.followers == 0 && c.isDone() {
			delete(x.commands, c.cmd.ID)
			c.out.spool.close()
			continue
		}
		kept = append(kept, c)
	}
	clear(x.ended[len(kept):])
	x.ended = kept
}

// newBackOff returns the pauses between attempts, a part of each by chance.
func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor, b.Multiplier = 100*time.Millisecond, 5*time.Second, 0.5, 2
	return b
}
