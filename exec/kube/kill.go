package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	utilexec "k8s.io/client-go/util/exec"
)

// killWait is how long a kill may take beside the grace period. An Executor has
// its own for tests.
const killWait = 60 * time.Second

func (a *attempt) kill(grace time.Duration, all bool) {
	a.c.kill(context.WithoutCancel(a.c.x.ctx), grace, all)
}

// kill ends the processes of the command, sees them dead, and notes who is not.
func (c *command) kill(ctx context.Context, grace time.Duration, all bool) {
	c.mu.Lock()
	p, session, cookie := c.place, c.session, c.nonce
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, max(grace, 0)+c.x.killWait)
	defer cancel()
	// Killing is idempotent, so whatever breaks is tried again, but not in a
	// container that is gone, with all that was in it.
	survivors, err := backoff.Retry(ctx, func() ([]int, error) {
		if _, gone := c.x.watcher.isGone(p); gone {
			return nil, nil
		}
		return c.x.kill(ctx, p, session, cookie, grace, all)
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxElapsedTime(0))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.survivors, c.killErr = survivors, err
	c.dead = all && err == nil && len(survivors) == 0
}

// mayRun reports whether processes of the command may be there though nobody
// waits for them: it was started, or may have been, and neither told its end nor
// was seen dead.
func (c *command) mayRun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.released.IsZero() && c.refused == "" && c.ends < 2 && !c.dead
}

// killProblem says what the last kill has not achieved.
func (c *command) killProblem() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.killErr != nil:
		return c.killErr
	case len(c.survivors) > 0:
		return fmt.Errorf("processes %v are still alive", c.survivors)
	}
	return nil
}

// kill runs killScript and returns the processes that it could not kill.
func (x *Executor) kill(ctx context.Context, p place, session, cookie string, grace time.Duration, all bool) ([]int, error) {
	nonce := rand.Text()
	input := newLateInput()
	input.give(killInput(nonce, session, cookie, int64((max(grace, 0)+99*time.Millisecond)/(100*time.Millisecond)), all))
	input.end()
	var survivors []int
	told := false
	records := newDemux(nonce, func([]byte) {}, func(kind, detail string) {
		if kind == "gone" {
			told = true
			for _, field := range strings.Fields(detail) {
				if pid, err := strconv.Atoi(field); err == nil {
					survivors = append(survivors, pid)
				}
			}
		}
	})
	err := x.streamer.stream(ctx, p, bootArgv(nonce), input, io.Discard, records)
	var exit utilexec.CodeExitError
	switch {
	case told:
		return survivors, nil
	case err == nil || errors.As(err, &exit):
		err = errors.New("it ended without a word")
	}
	return nil, fmt.Errorf("kill the processes of the command: %w", err)
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }
