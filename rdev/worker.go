package rdev

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/stream"
)

// A worker brings one command from its record to its end. It is the only
// writer of the command's stream and record in this process.
type worker struct {
	s   *Service
	cmd Command
	// ctx is the command's: its end cancels the command, or detaches from it,
	// by its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// owned ends when another Service has taken the command over.
	owned  context.Context
	disown context.CancelFunc
	// published is the Seq of the last event in the stream; while the command
	// executes, it is the outbox's.
	published uint64
	// sent is the Seq of the last line that the outbox was given.
	sent   uint64
	outbox *outbox
	// waited says that the span of its wait was made.
	waited bool
	// told is what was published when the worker began to execute.
	told  uint64
	fresh bool
	// resumed says that another worker may have started the command.
	resumed bool
	// watch follows the output of a claude, nil for other commands.
	watch *claudeWatch
	// begun is cmd as it was when the worker began, for others to read.
	begun Command
	// ending is set before readers can see the terminal event, done is closed
	// when the worker is through.
	ending atomic.Bool
	done   chan struct{}

	masking masking
}

// launch starts the worker of a command, unless it has one here already; the
// caller has entered. A command is fresh if no worker can have had it before.
func (s *Service) launch(cmd Command, fresh bool) {
	w := &worker{s: s, cmd: cmd, fresh: fresh, begun: cmd, done: make(chan struct{})}
	w.resumed = !fresh && cmd.State == StateRunning
	w.owned, w.disown = context.WithCancel(context.WithoutCancel(s.base))
	w.masking.set = s.masksOf(cmd.Spec.Env)
	w.ctx, w.cancel = context.WithCancelCause(s.base)
	w.outbox = newOutbox(w.publish, w.cancel)
	if !cmd.CancelRequestedAt.IsZero() {
		w.cancel(errCanceled)
	}
	s.mu.Lock()
	if s.running[cmd.ID] != nil {
		s.mu.Unlock()
		w.cancel(nil)
		w.disown()
		s.workers.Done()
		return
	}
	s.running[cmd.ID] = w
	s.mu.Unlock()
	release := s.holdKey(w)
	go func() {
		defer s.workers.Done()
		defer release()
		defer close(w.done)
		defer func() {
			s.mu.Lock()
			delete(s.running, cmd.ID)
			s.mu.Unlock()
			w.cancel(nil)
			w.disown()
			s.queue.kick() // its place is free
		}()
		end := w.traced()
		err := w.run()
		end(err)
		switch {
		case err == nil, w.owned.Err() != nil:
		case errors.Is(err, exec.ErrDetached):
			w.release()
		default:
			s.failed(&cmd, fmt.Errorf("rdev: command %s: %w", cmd.ID, err))
		}
	}()
	// The worker first: what is left to do for the caller takes less time than
	// another thread needs to begin.
	runtime.Gosched()
}

// release hands the command over to whoever claims it.
func (w *worker) release() {
	if w.s.leases == nil {
		return
	}
	ctx, cancel := context.WithTimeout(w.s.patience, storeTimeout)
	defer cancel()
	if err := w.s.leases.Release(ctx, w.s.cfg.Replica, []string{w.cmd.ID}); err != nil {
		w.s.failed(&w.begun, fmt.Errorf("rdev: release the lease of %s: %w", w.cmd.ID, err))
	}
}

// run does the work. An error means that the record is not in a terminal
// state: the next Service over it tries again.
func (w *worker) run() error {
	w.watch = w.newWatch()
	defer w.watch.stop()
	w.checkKey()
	if !w.fresh { // another worker may have published, if only the end
		ended, err := w.catchUp()
		if err != nil || ended {
			return err
		}
	}
	if err := w.begin(); err != nil {
		if errors.Is(err, ErrStaleState) {
			return nil // another owner has ended it
		}
		return err
	}
	if w.cmd.State != StateRunning { // cancelled, or there was no target to run in
		return nil
	}
	if w.resumed {
		if err := w.replay(); err != nil {
			return err
		}
	}
	result, err := w.execute()
	detached := errors.Is(err, exec.ErrDetached)
	if lost := w.endLines(!detached); lost != nil {
		return lost
	}
	if detached {
		return err
	}
	return w.finish(result, err)
}

// catchUp finds out what the stream holds already. If that includes its end,
// the record is brought in line with it.
func (w *worker) catchUp() (ended bool, err error) {
	var head stream.Head
	err = w.retry("read stream", func(ctx context.Context) error {
		sub, err := w.s.cfg.Broker.Subscribe(ctx, w.cmd.StreamID(), 0)
		if err != nil {
			return err
		}
		defer sub.Close()
		head = sub.Head()
		return nil
	})
	if err != nil {
		return false, err
	}
	w.published = head.Seq
	if !head.Terminal {
		return false, nil
	}
	return true, w.record(head.Seq, nil)
}

// begin makes the record of a queued command running, once there is a place for
// it. If there is none in time, or no target, or the command was cancelled
// meanwhile, it ends the command.
func (w *worker) begin() error {
	if w.cmd.State != StateQueued {
		return nil
	}
	err := w.awaitPlace()
	w.queued()
	if err != nil {
		return w.finish(exec.Result{}, err)
	}
	running := w.cmd
	err = w.s.locate(w.ctx, &running)
	if cause := context.Cause(w.ctx); cause != nil {
		if errors.Is(cause, exec.ErrDetached) {
			return cause
		}
		return w.finish(exec.Result{}, cause)
	}
	if err != nil {
		return w.finish(exec.Result{}, err)
	}
	return w.update("record start", func(c *Command) error {
		if c.State == StateRunning {
			// Another owner was quicker; or this one was, and has not heard of it.
			w.resumed = true
			return nil
		}
		c.State, c.StartedAt, c.Spec.Target = running.State, running.StartedAt, running.Spec.Target
		return nil
	})
}

// execute runs the command, or goes on with it, and publishes its lines.
func (w *worker) execute() (exec.Result, error) {
	w.queued()
	w.told, w.sent = w.published, w.published
	spec := w.cmd.Spec
	spec.Resume = w.resumed
	said := false
	deadline := time.Now().Add(startPatience)
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		spec.After = w.sent - min(w.sent, maskRewind)
		w.masking.begin()
		ctx, execution := w.execution()
		result, err := w.s.cfg.Executor.Execute(ctx, spec, func(lines []exec.Line) error {
			if lines[len(lines)-1].Seq > w.told { // not read again for the masking alone
				execution.line(max(lines[0].Seq, w.told+1))
			}
			return w.publishLines(lines)
		})
		execution.end(result, err)
		if w.resumed && unanswered(err) {
			if !said {
				said = true
				w.s.failed(&w.begun, fmt.Errorf("rdev: go on with %s: %w; trying again until it is found", w.cmd.ID, err))
			}
			if err := w.awaitAnswer(wait); err != nil {
				return exec.Result{}, err
			}
			continue
		}
		if !errors.Is(err, exec.ErrNotStarted) || time.Now().After(deadline) {
			return result, err
		}
		select {
		case <-w.ctx.Done():
			return result, context.Cause(w.ctx)
		case <-time.After(wait):
		}
	}
}

// publish reports besides whether it took one attempt alone.
func (w *worker) publish(events []stream.Event) (clean bool, err error) {
	attempts := 0
	call := func(ctx context.Context) error {
		attempts++
		return w.s.cfg.Broker.Publish(ctx, w.cmd.StreamID(), events)
	}
	if w.told == w.published || events[len(events)-1].Kind.Terminal() {
		err = w.retry("publish", call)
	} else { // not a span for each batch
		err = w.attempts(w.s.patience, "publish", call)
	}
	if errors.Is(err, stream.ErrClosed) {
		// Another owner ended the stream. Nothing more can be told of this
		// command, and it is not this worker's to end.
		return false, fmt.Errorf("%w: %w", exec.ErrDetached, err)
	}
	if err != nil {
		return false, err
	}
	w.published = events[len(events)-1].Seq
	return attempts == 1, nil
}

// update changes the record and keeps the worker's copy of it.
func (w *worker) update(op string, change func(*Command) error) error {
	return w.retry(op, func(ctx context.Context) error {
		updated, err := w.s.cfg.Commands.Update(ctx, w.cmd.ID, change)
		if err == nil {
			spec := w.cmd.Spec
			w.cmd = updated
			if updated.State.Terminal() {
				w.cmd.Spec = spec
			}
		}
		return err
	})
}
