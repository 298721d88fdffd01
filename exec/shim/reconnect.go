package shim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/orchard9/rdev/exec"
)

const (
	firstPause = 10 * time.Millisecond
	lastPause  = 5 * time.Second
)

// keepConnected makes connections while somebody waits for one.
func (c *Client) keepConnected() {
	for failures := 0; ; {
		select {
		case <-c.ctx.Done():
			c.publish(nil, ErrClosed)
			return
		case <-c.wanted:
		}
		if !c.isWanted() {
			continue
		}
		l, err := c.dial()
		c.publish(l, err)
		if err == nil {
			l.keepAlive(c.config.Heartbeat)
			_ = l.receive(l.handle)
			l.work.Wait()
			l.unhook()
			c.publish(nil, nil)
			if l.wasUseful() {
				failures = 0
			}
		}
		failures++
		pause := time.NewTimer(backoff(failures))
		select {
		case <-c.ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		c.want()
	}
}

// backoff is how long to wait after so many failures in a row, half of it by
// chance, so that many clients do not come at once.
func backoff(failures int) time.Duration {
	pause := min(firstPause<<min(failures-1, 20), lastPause)
	return pause/2 + rand.N(pause/2)
}

func (c *Client) isWanted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting > 0
}

func (c *Client) want() {
	select {
	case c.wanted <- struct{}{}:
	default:
	}
}

// publish tells those who wait about a connection, or about none.
func (c *Client) publish(l *line, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = l
	if err != nil {
		c.failure = err
		c.failures++
	} else if l != nil {
		c.failure, c.last = nil, l.server.incarnation()
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// connected returns the connection, or waits for one until the deadline (the
// zero time is never), the end of ctx, or the end of all hope. The error is
// the last failure then. A new command does not wait for a target that is not
// ready.
func (c *Client) connected(ctx context.Context, deadline time.Time, isNew bool) (*line, error) {
	c.mu.Lock()
	c.waiting++
	seen := c.failures
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.waiting--
		c.mu.Unlock()
	}()
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	for {
		c.mu.Lock()
		l, failure, failures, changed := c.line, c.failure, c.failures, c.changed
		c.mu.Unlock()
		switch {
		case c.ctx.Err() != nil:
			return nil, ErrClosed
		case l != nil && !l.isGone():
			return l, nil
		case failures > seen && isFinal(failure, isNew):
			return nil, failure
		}
		c.want()
		select {
		case <-changed:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, withCause(context.Cause(ctx), failure)
		case <-late:
			return nil, withCause(errNoConnection, failure)
		}
	}
}

var errNoConnection = errors.New("no connection")

func withCause(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w (%v)", err, cause)
}

// isFinal reports a failure after which no attempt can do better.
func isFinal(err error, isNew bool) bool {
	return errors.Is(err, exec.ErrTargetNotFound) || errors.Is(err, exec.ErrLost) ||
		isNew && errors.Is(err, exec.ErrTargetNotReady)
}
