package exectest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
)

// A session is one subtest at work. Its methods that end the test may be called
// from the test's goroutine alone.
type session struct {
	*testing.T
	Subject
	ctx context.Context // ends with the subtest's patience
}

func newSession(t *testing.T, subject Subject) *session {
	if subject.Executor == nil || subject.Target.Name == "" {
		t.Fatal("exectest: Subject.Executor and Subject.Target are required")
	}
	if subject.Patience <= 0 {
		subject.Patience = 30 * time.Second
	}
	if subject.Absent == "" {
		subject.Absent = "exectest-absent"
	}
	ctx, stop := context.WithTimeout(context.Background(), 3*subject.Patience)
	t.Cleanup(stop)
	return &session{T: t, Subject: subject, ctx: ctx}
}

// newID returns an ID that was never used.
func newID() string { return "exectest-" + strings.ToLower(rand.Text()) }

// command returns a command with a new ID.
func (s *session) command(argv ...string) exec.Command {
	return exec.Command{ID: newID(), Target: s.Target, Argv: argv, Grace: 300 * time.Millisecond}
}

// script returns a command that runs sh with the arguments as $1, $2, ….
func (s *session) script(text string, args ...string) exec.Command {
	return s.command(append([]string{"sh", "-c", text, "sh"}, args...)...)
}

// A call is one Execute.
type call struct {
	*record
	cmd    exec.Command
	detach func()
	cancel context.CancelFunc
	done   chan struct{}
	result exec.Result // after done
	err    error       // after done
}

// start calls Execute in the background. sink is called after the record was
// made, and may be nil.
func (s *session) start(cmd exec.Command, sink func([]exec.Line) error) *call {
	ctx, cancel := context.WithCancelCause(s.ctx)
	c := &call{
		record: newRecord(cmd.After),
		cmd:    cmd,
		detach: func() { cancel(exec.ErrDetached) },
		cancel: func() { cancel(nil) },
		done:   make(chan struct{}),
	}
	go func() {
		defer close(c.done)
		c.result, c.err = s.Executor.Execute(ctx, cmd, func(lines []exec.Line) error {
			return c.take(lines, sink)
		})
		c.returned()
		cancel(nil)
	}()
	// Nothing may run on after a failed subtest. Cancel is idempotent.
	s.Cleanup(func() {
		cancel(nil)
		ctx, stop := context.WithTimeout(context.Background(), s.Patience)
		defer stop()
		if err := s.Executor.Cancel(ctx, cmd.Target, cmd.ID); err != nil && !errors.Is(err, exec.ErrTargetNotFound) {
			s.Logf("cancel of %s at the end of the subtest: %v", cmd.ID, err)
		}
		select {
		case <-c.done:
			for _, problem := range c.problems() {
				s.Errorf("%v: %s", cmd.Argv, problem)
			}
		case <-ctx.Done():
			s.Errorf("%v: Execute does not return though it was cancelled", cmd.Argv)
		}
	})
	return c
}

// wait waits for the call to return.
func (s *session) wait(c *call) {
	s.Helper()
	select {
	case <-c.done:
	case <-time.After(s.Patience):
		s.Fatalf("%v: Execute has not returned after %v; it gave %s", c.cmd.Argv, s.Patience, summary(c.lines()))
	}
}

// run runs the command to its end, which must be a Result.
func (s *session) run(cmd exec.Command) *call {
	s.Helper()
	c := s.start(cmd, nil)
	s.wait(c)
	if c.err != nil {
		s.Fatalf("%v: Execute returned the error %v, want a Result", cmd.Argv, c.err)
	}
	if c.result.Lines < cmd.After || c.result.Lines-cmd.After != uint64(len(c.lines())) {
		s.Errorf("%v: the Result counts %d lines, and %d were given after line %d", cmd.Argv, c.result.Lines, len(c.lines()), cmd.After)
	}
	return c
}

// output runs a script that must succeed and returns what it wrote to stdout.
func (s *session) output(text string, args ...string) string {
	s.Helper()
	c := s.run(s.script(text, args...))
	if c.result.ExitCode != 0 {
		s.Fatalf("%s: exit code %d, stderr %q", text, c.result.ExitCode, c.text(exec.Stderr))
	}
	return c.text(exec.Stdout)
}

// fails runs a command whose Execute must return the error want.
func (s *session) fails(cmd exec.Command, want error) error {
	s.Helper()
	c := s.start(cmd, nil)
	s.wait(c)
	if !errors.Is(c.err, want) {
		s.Errorf("Execute of %.100q in %q returned %+v and the error %v, want the error %v", cmd.Argv, cmd.Dir, c.result, c.err, want)
	}
	if n := len(c.lines()); n > 0 {
		s.Errorf("Execute of %.100q gave %d lines and then the error %v", cmd.Argv, n, c.err)
	}
	return c.err
}

// until waits for a condition.
func (s *session) until(what string, condition func() bool) {
	s.Helper()
	deadline := time.Now().Add(s.Patience)
	for pause := time.Millisecond; !condition(); pause = min(2*pause, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("waited %v in vain until %s", s.Patience, what)
		}
		time.Sleep(pause)
	}
}

// untilText waits until the call was given the text on stdout.
func (s *session) untilText(c *call, text string) {
	s.Helper()
	s.until(fmt.Sprintf("%q is printed", text), func() bool {
		if strings.Contains(c.text(exec.Stdout), text) {
			return true
		}
		select {
		case <-c.done:
			if !strings.Contains(c.text(exec.Stdout), text) {
				s.Fatalf("%v ended with %+v, %v and never printed %q; it gave %s", c.cmd.Argv, c.result, c.err, text, summary(c.lines()))
			}
		default:
		}
		return false
	})
}

// alive reports whether the process runs in the target. A zombie does not: it
// is dead, and reaping it is its parent's affair.
func (s *session) alive(pid string) bool {
	s.Helper()
	// In this order: a zombie may be reaped between the two questions.
	return s.output(`if grep -q ') [ZX] ' "/proc/$1/stat" 2>/dev/null || ! kill -0 "$1" 2>/dev/null
then echo dead; else echo alive; fi`, pid) == "alive\n"
}

// dead fails the test for every one of the processes that is alive.
func (s *session) dead(pids ...string) {
	s.Helper()
	for _, pid := range pids {
		if s.alive(pid) {
			s.Errorf("process %s is still alive", pid)
		}
	}
}

// equal fails the test if got is not want.
func equal[T comparable](s *session, what string, got, want T) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %v, want %v", what, quoted(got), quoted(want))
	}
}

func quoted(v any) any {
	if text, ok := v.(string); ok {
		return fmt.Sprintf("%.300q", text)
	}
	return v
}
