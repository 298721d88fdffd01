package main

import (
	"context"
	"errors"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/orchard9/rdev/server/client"
)

// exitPipe is the exit code of a program that SIGPIPE ends.
const exitPipe = exitSignal + int(syscall.SIGPIPE)

// start starts a command; runAndFollow calls it.
type start func(context.Context) (client.Command, error)

// runAndFollow starts a command and prints what comes of it. The first Ctrl-C
// cancels the command and the second kills it; its end is waited for, until the
// third leaves at once. While the command is being started, begin has them.
func (a *app) runAndFollow(ctx context.Context, r *remote, run start, detach bool) error {
	ctx, first, second, stop := a.interrupts(ctx)
	defer stop()
	cmd, err := a.begin(ctx, run, first, second)
	if err != nil {
		return r.explain(err)
	}
	if detach {
		select {
		case <-first:
			a.notice("cancelling %s", cmd.ID)
			a.end(ctx, r.Cancel, r, cmd)
			return &exitError{code: exitInterrupted}
		default:
		}
		a.notice("started; read its output with rdev logs -f %s", cmd.ID)
		return a.printDetached(cmd)
	}

	var canceling sync.WaitGroup
	defer canceling.Wait()
	over := make(chan struct{})
	defer close(over)
	canceling.Go(func() {
		for _, step := range []struct {
			on     <-chan struct{}
			notice string
			end    ending
		}{
			{first, "cancelling %s; once more to kill it", r.Cancel},
			{second, "killing %s; once more to leave without waiting", r.Kill},
		} {
			select {
			case <-step.on:
				a.notice(step.notice, cmd.ID)
				a.end(ctx, step.end, r, cmd)
			case <-over:
				return
			}
		}
	})
	last, err := a.follow(ctx, r, cmd, 0)
	switch {
	case errors.Is(context.Cause(ctx), errInterrupted):
		a.notice("left; %s may still be ending: %s", cmd.ID, resumeLine(cmd, last))
		return &exitError{code: exitInterrupted}
	case errors.Is(err, syscall.EPIPE):
		// Whoever read our output wants no more, as in `rdev run -- yes | head`.
		a.end(ctx, r.Cancel, r, cmd)
		return &exitError{code: exitPipe}
	}
	return a.gaveUp(err, cmd, last)
}

// begin starts a command. The server may have it long before it answers, and the
// request is repeated while it does not: so the first interruption leaves only
// if no request can have reached it, and else the second one does. A command that
// is started after the first one is for the caller to cancel.
func (a *app) begin(ctx context.Context, run start, first, second <-chan struct{}) (client.Command, error) {
	var reached atomic.Bool
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	starting := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { reached.Store(true) },
	})
	started := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-first:
		case <-started:
			return
		}
		if reached.Load() {
			a.notice("the server has not answered and may have taken the command, which is cancelled when it does; once more to leave")
			select {
			case <-second:
			case <-started:
				return
			}
		}
		leave(errInterrupted)
	})
	cmd, err := run(starting)
	close(started)
	waiting.Wait()
	switch {
	case err == nil || !errors.Is(context.Cause(ctx), errInterrupted):
		return cmd, err
	case reached.Load():
		a.notice("left; the server may have taken the command: rdev ps")
	default:
		a.notice("left; the command was not started")
	}
	return cmd, &exitError{code: exitInterrupted}
}

// An ending asks for the end of a command.
type ending func(ctx context.Context, project, id string) (client.Command, error)

// end asks for the end of a command. It takes its time even when the program is
// about to end.
func (a *app) end(ctx context.Context, ask ending, r *remote, cmd client.Command) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	if _, err := ask(ctx, cmd.Project, cmd.ID); err != nil {
		a.notice("cannot cancel %s: %s", cmd.ID, describe(r.explain(err)))
	}
}

// followOnly prints what comes of a command that is not ours: Ctrl-C ends the
// reading alone.
func (a *app) followOnly(ctx context.Context, r *remote, cmd client.Command, after uint64) error {
	ctx, first, _, stop := a.interrupts(ctx)
	defer stop()
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	go func() {
		select {
		case <-first:
			leave(errInterrupted)
		case <-ctx.Done():
		}
	}()
	last, err := a.follow(ctx, r, cmd, after)
	switch {
	case errors.Is(context.Cause(ctx), errInterrupted):
		a.notice("left; go on with %s", resumeLine(cmd, last))
		return &exitError{code: exitInterrupted}
	case errors.Is(err, syscall.EPIPE):
		return &exitError{code: exitPipe}
	}
	return a.gaveUp(err, cmd, last)
}

// follow prints a command's output behind the line after, and its end. It
// returns the last line that was printed, and an exitError with the command's
// exit code unless something else failed.
func (a *app) follow(ctx context.Context, r *remote, cmd client.Command, after uint64) (last uint64, err error) {
	p := a.printer()
	if err := p.begin(cmd); err != nil {
		return after, err
	}
	last = after
	end, err := r.Follow(ctx, cmd.Project, cmd.ID, after, counting(p, &last))
	if err != nil {
		err = r.explain(err)
		return last, errors.Join(err, p.end(nil, err))
	}
	if err := p.end(&end, nil); err != nil {
		return last, err
	}
	if code := endExit(end); code != exitOK {
		return last, &exitError{code: code}
	}
	return last, nil
}

// counting prints events and keeps the number of the last one.
func counting(p printer, last *uint64) func([]client.Event) error {
	return func(events []client.Event) error {
		if err := p.events(events); err != nil {
			return err
		}
		*last = events[len(events)-1].Seq
		return nil
	}
}

// printLog prints what a command has printed so far, and its end if it has one.
func (a *app) printLog(ctx context.Context, r *remote, cmd client.Command, after uint64) error {
	p := a.printer()
	if err := p.begin(cmd); err != nil {
		return err
	}
	end, err := r.Read(ctx, cmd.Project, cmd.ID, after, p.events)
	if err != nil {
		err = r.explain(err)
		return errors.Join(err, p.end(nil, err))
	}
	if end == nil {
		a.notice("%s is %s; follow it with rdev logs -f %s", cmd.ID, cmd.State, cmd.ID)
	}
	return p.end(end, nil)
}

// gaveUp says how to go on where the following of a command failed.
func (a *app) gaveUp(err error, cmd client.Command, last uint64) error {
	var exit *exitError
	if err != nil && !errors.As(err, &exit) {
		a.notice("the command goes on; read on with %s", resumeLine(cmd, last))
	}
	return err
}

// resumeLine is the command line that reads on behind the line last.
func resumeLine(cmd client.Command, last uint64) string {
	if last == 0 {
		return "rdev logs -f " + cmd.ID
	}
	return "rdev logs -f --after " + formatSeq(last) + " " + cmd.ID
}

// endExit is the exit code that mirrors how a command ended.
func endExit(end client.End) int {
	switch {
	case end.State == client.TimedOut:
		return exitTimeout
	case end.State == client.Cancelled:
		return exitInterrupted
	case end.State == client.Succeeded: // a claude that hung after its result was ended
		return exitOK
	case end.Code == client.ClaudeError && end.ExitCode != nil && *end.ExitCode == 0:
		return exitFailed
	case end.ExitCode != nil && end.Signal != "":
		return signalExit(end.Signal)
	case end.ExitCode != nil:
		return *end.ExitCode
	}
	switch end.Code {
	case client.CommandNotFound, client.PodNotFound, client.ProjectNotFound:
		return exitNotFound
	case client.NotExecutable, client.CommandRejected:
		return exitRefused
	case client.Canceled:
		return exitInterrupted
	}
	return exitRdev
}
