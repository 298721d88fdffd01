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

// killWait is how long a kill may take beside the grace period.
const killWait = 60 * time.Second

// kill ends the processes of the attempt's command, sees them dead, and notes
// who is not.
func (a *attempt) kill(grace time.Duration, all bool) {
	c := a.c
	c.mu.Lock()
	session, cookie := c.session, c.nonce
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.x.ctx), max(grace, 0)+killWait)
	defer cancel()
	// Killing is idempotent, so whatever breaks is tried again, but not in a
	// container that is gone, with all that was in it.
	survivors, err := backoff.Retry(ctx, func() ([]int, error) {
		if _, gone := c.x.watcher.isGone(a.place); gone {
			return nil, nil
		}
		return c.x.kill(ctx, a.place, session, cookie, grace, all)
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxElapsedTime(0))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.survivors, c.killErr = survivors, err
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
