package rdev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/stream"
)

// finish publishes the terminal event and records the end. In this order: a
// record is only ever terminal when its stream is, so that whoever restarts
// after a crash in between finds the record unfinished and mends it.
func (w *worker) finish(result exec.Result, err error) error {
	w.watch.stop()
	var o outcome
	if err == nil {
		o = outcome{State: stateOf(result), Result: &result}
		cause := context.Cause(w.ctx)
		canceled := !w.cmd.CancelRequestedAt.IsZero() || cause != nil && !errors.Is(cause, errAfterResult)
		o = w.watch.judge(o, canceled)
	} else {
		o.State, o.Code, o.Message = w.failure(err)
		o.Message = w.masking.set.String(o.Message)
	}
	if o.Claude, err = w.claudeResult(); err != nil {
		return err
	}
	seq := w.published + 1
	w.ending.Store(true)
	if _, err := w.publish([]stream.Event{o.event(seq)}); err != nil && !errors.Is(err, stream.ErrClosed) {
		return err
	}
	return w.record(seq, o.Result)
}

// record makes the record say what the terminal event at seq says. That event
// is read back: if two owners ended the command, the first one's word counts,
// and result is recorded only if it is that one's.
func (w *worker) record(seq uint64, result *exec.Result) error {
	var o outcome
	err := w.retry("read end of stream", func(ctx context.Context) error {
		e, err := w.terminal(ctx, seq)
		if err != nil {
			return err
		}
		if o, err = decodeTerminal(e); e.Kind == stream.Complete {
			o.Result = result
		}
		return err
	})
	if err != nil {
		return err
	}
	err = w.update("record end", func(c *Command) error {
		c.State, c.Code, c.Message, c.Claude, c.EndedAt = o.State, o.Code, o.Message, o.Claude, w.s.now()
		if o.Result != nil {
			c.Result, c.EndedAt = o.Result, o.Result.Ended.UTC().Truncate(time.Microsecond)
		}
		c.Spec.Argv = maskAll(w.masking.set, c.Spec.Argv)
		c.Audit = w.s.outcome(*c)
		return nil
	})
	if errors.Is(err, ErrStaleState) {
		return nil
	}
	if err == nil {
		err = w.retry("close stream", func(ctx context.Context) error {
			return w.s.cfg.Broker.Close(ctx, w.cmd.StreamID())
		})
		w.forget()
	}
	return err
}

// terminal reads the terminal event of the stream, which should be at seq; if
// another owner was first, it is before that.
func (w *worker) terminal(ctx context.Context, seq uint64) (stream.Event, error) {
	sub, err := w.s.cfg.Broker.Subscribe(ctx, w.cmd.StreamID(), seq-1)
	if err != nil {
		return stream.Event{}, err
	}
	defer sub.Close()
	head := sub.Head()
	if !head.Terminal {
		return stream.Event{}, fmt.Errorf("the stream ends at %d without a terminal event", head.Seq)
	}
	if head.Seq != seq {
		return w.terminal(ctx, head.Seq)
	}
	events, err := sub.Next(ctx)
	if err != nil {
		return stream.Event{}, err
	}
	return events[len(events)-1], nil
}

func stateOf(r exec.Result) State {
	switch {
	case r.Reason == exec.Canceled:
		return StateCanceled
	case r.Reason == exec.TimedOut:
		return StateTimedOut
	case r.ExitCode == 0 && r.Signal == "":
		return StateSucceeded
	}
	return StateFailed
}

// failure says how a command without a Result ended.
func (w *worker) failure(err error) (State, Code, string) {
	code, message := CodeOf(err), plain(err)
	switch {
	case w.resumed: // it may have run, whatever this worker did
	case errors.Is(err, errCanceled), errors.Is(err, errShutdown),
		errors.Is(err, context.Canceled) && w.ctx.Err() != nil:
		return StateCanceled, CodeCanceled, "the command was cancelled before it started"
	}
	if code == CodeInternal {
		// The text may hold what is not the caller's to know.
		w.s.failed(&w.begun, fmt.Errorf("rdev: execute %s: %w", w.cmd.ID, err))
		message = "the executor failed"
	}
	if errors.Is(err, exec.ErrLost) || errors.Is(err, exec.ErrOutcomeUnknown) || w.resumed && !neverRan(err) {
		return StateLost, code, message
	}
	return StateFailed, code, message
}
