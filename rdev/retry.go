package rdev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/stream"
)

// How a worker deals with a store or an executor that is not there for a
// while.
const (
	retryMin      = 50 * time.Millisecond
	retryMax      = 2 * time.Second
	startPatience = 30 * time.Second // for an executor that answers ErrNotStarted
	storeTimeout  = 15 * time.Second // for one call of a store
)

// retry calls a store until it answers. It goes on while the command is being
// cancelled, since the end must be told; it gives up, with an error that wraps
// exec.ErrDetached, when the Service is told not to wait any longer.
func (w *worker) retry(op string, call func(ctx context.Context) error) error {
	if w.s.tracer == nil {
		return w.attempts(w.s.patience, op, call)
	}
	ctx, span := w.storeSpan(op)
	err := w.attempts(ctx, op, call)
	span.end(err)
	return err
}

// attempts is retry without a span of its own.
func (w *worker) attempts(patience context.Context, op string, call func(ctx context.Context) error) error {
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		ctx, cancel := context.WithTimeout(patience, storeTimeout)
		err := call(ctx)
		cancel()
		if err == nil || permanent(err) {
			return err
		}
		w.s.failed(&w.begun, fmt.Errorf("rdev: %s %s: %w; trying again", op, w.cmd.ID, err))
		select {
		case <-w.s.patience.Done():
			return fmt.Errorf("rdev: %s %s: %w: %w", op, w.cmd.ID, exec.ErrDetached, err)
		case <-time.After(wait):
		}
	}
}

// permanent reports whether an error of a store is its answer, and not a
// failure to give one.
func permanent(err error) bool {
	for _, e := range []error{
		stream.ErrClosed, stream.ErrGap, stream.ErrInvalid, ErrStaleState, ErrCommandNotFound,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
