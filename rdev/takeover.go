package rdev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/exec"
)

// A worker that takes over a command which is running by its record does not
// know whether it runs: another worker may have started it, and the executor is
// told so (exec.Command.Resume). What it may then say of the command is what the
// executor knows of it, and never that this attempt did not reach it.

// unanswered reports an error that says nothing of a command that was taken
// over: the executor has not reached what could know it.
func unanswered(err error) bool {
	return !errors.Is(err, exec.ErrDetached) &&
		(errors.Is(err, exec.ErrNotStarted) || errors.Is(err, exec.ErrTargetNotReady) || errors.Is(err, exec.ErrTargetNotFound))
}

// neverRan reports an error that says of a command that was taken over, too,
// that it certainly had no process.
func neverRan(err error) bool {
	return errors.Is(err, exec.ErrProgramNotFound) || errors.Is(err, exec.ErrNotExecutable) || errors.Is(err, exec.ErrInvalidCommand)
}

// awaitAnswer waits before a command that was taken over is asked for again. It
// does so however long that takes, also when the command is to be cancelled,
// because that can only be done where it runs. The error says that this worker
// is to leave it.
func (w *worker) awaitAnswer(wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var detached <-chan struct{}
	if w.s.cfg.LeaveRunning {
		detached = w.s.base.Done()
	}
	select {
	case <-timer.C:
		return nil
	case <-w.owned.Done():
		return errLeaseLost
	case <-detached:
		return context.Cause(w.s.base)
	case <-w.s.patience.Done():
		return fmt.Errorf("%w: %w", exec.ErrDetached, ErrShuttingDown)
	}
}

// loseLease has the worker leave its command to the owner that took it over.
// Its context may have ended before, to cancel the command: then that alone
// does not tell it.
func (w *worker) loseLease() {
	w.cancel(errLeaseLost)
	w.disown()
}
