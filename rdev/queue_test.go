package rdev_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
)

// key is the principal of a key that may do everything in all projects.
func key(id string) auth.Principal {
	p := auth.Admin()
	p.KeyID, p.Admin = id, false
	return p
}

func runAs(t *testing.T, s *rdev.Service, caller auth.Principal, req rdev.Request) rdev.Command {
	t.Helper()
	cmd, created, err := s.Run(t.Context(), caller, req)
	if err != nil || !created {
		t.Fatalf("run as %s: created %v, %v", caller.KeyID, created, err)
	}
	return cmd
}

func waiting(program string, d time.Duration) rdev.Request {
	req := shell(program)
	req.MaxWait = d
	return req
}

func cancelled(t *testing.T, s *rdev.Service, id string) {
	t.Helper()
	if _, err := s.Cancel(t.Context(), auth.Admin(), "app", id); err != nil {
		t.Fatal(err)
	}
}

func wantLimit(t *testing.T, err error, limit rdev.Limit) {
	t.Helper()
	var got *rdev.LimitError
	if !errors.As(err, &got) || got.Limit != limit || rdev.CodeOf(err) != rdev.CodeTooManyCommands {
		t.Fatalf("got %v, want the limit %s", err, limit)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func stateIs(t *testing.T, s *rdev.Service, id string, state rdev.State) {
	t.Helper()
	until(t, fmt.Sprintf("%s is %s", id, state), func() bool { return get(t, s, id).State == state })
}

func limited(project, key int) func(*rdev.Config) {
	return func(c *rdev.Config) { c.MaxProjectCommands, c.MaxKeyCommands = project, key }
}

func TestNoMoreCommandsRunThanMay(t *testing.T) {
	s := newParts(t).open(t, limited(3, 2))
	first := runAs(t, s, key("a"), shell("sleep"))
	runAs(t, s, key("a"), shell("sleep"))
	_, _, err := s.Run(t.Context(), key("a"), shell("sleep"))
	wantLimit(t, err, rdev.LimitKeyCommands)
	elsewhere := shell("sleep")
	elsewhere.Project = "other"
	_, _, err = s.Run(t.Context(), key("a"), elsewhere)
	wantLimit(t, err, rdev.LimitKeyCommands) // over all projects
	runAs(t, s, auth.Admin(), shell("sleep"))
	_, _, err = s.Run(t.Context(), key("b"), shell("sleep"))
	wantLimit(t, err, rdev.LimitProjectCommands)
	_, _, err = s.Run(t.Context(), auth.Admin(), shell("sleep"))
	wantLimit(t, err, rdev.LimitProjectCommands) // of the admin key too
	for range 3 {
		runAs(t, s, auth.Admin(), elsewhere) // which has no limit of its own
	}
	cancelled(t, s, first.ID)
	follow(t, s, first.ID, 0)
	runAs(t, s, key("a"), shell("sleep")) // whoever has seen the end has the place
}

func TestAProjectsLimitsReplaceTheServices(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t, limited(1, 0), func(c *rdev.Config) {
		c.DefaultTimeout, c.MaxTimeout, c.MaxOutput = time.Hour, 2*time.Hour, 1000
		c.Projects = rdev.FixedProjects(
			rdev.Project{Name: "app", Limits: rdev.Limits{Commands: 3, CommandsPerKey: 2, Timeout: time.Minute, Output: 10}},
			rdev.Project{Name: "other", Limits: rdev.Limits{Commands: -1, Timeout: 3 * time.Hour, Output: 5000}})
	})
	cmd := runAs(t, s, key("a"), shell("sleep"))
	is.Equal(cmd.Spec.Timeout, time.Minute)
	is.Equal(cmd.Spec.MaxOutput, int64(10))
	long := shell("sleep")
	long.Timeout = time.Minute + 1
	_, _, err := s.Run(t.Context(), key("a"), long)
	is.True(errors.Is(err, rdev.ErrInvalidArgument))
	runAs(t, s, key("a"), shell("sleep"))
	_, _, err = s.Run(t.Context(), key("a"), shell("sleep"))
	wantLimit(t, err, rdev.LimitKeyInProject)
	runAs(t, s, key("b"), shell("sleep"))
	_, _, err = s.Run(t.Context(), key("b"), shell("sleep"))
	wantLimit(t, err, rdev.LimitProjectCommands)

	other := shell("sleep")
	other.Project = "other"
	for range 5 {
		cmd := runAs(t, s, key("a"), other)
		is.Equal(cmd.Spec.Timeout, time.Hour) // a project cannot raise these
		is.Equal(cmd.Spec.MaxOutput, int64(1000))
	}
}

func TestCommandsThatWaitGoInTurns(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t, limited(1, 0))
	running := runAs(t, s, key("a"), shell("sleep"))
	var a, b []string
	for range 2 {
		a = append(a, runAs(t, s, key("a"), waiting("sleep", time.Minute)).ID)
	}
	// Of two keys with the same turn the older command goes first, by the
	// milliseconds in its id.
	time.Sleep(2 * time.Millisecond)
	for range 2 {
		b = append(b, runAs(t, s, key("b"), waiting("sleep", time.Minute)).ID)
	}
	is.Equal(get(t, s, a[0]).State, rdev.StateQueued)
	turns := []string{a[0], b[0], a[1], b[1]}
	for i := range turns {
		until(t, "the positions are told", func() bool {
			for n, id := range turns[i:] {
				if position, known := s.QueuePosition(id); !known || position != n+1 {
					return false
				}
			}
			return true
		})
		cancelled(t, s, running.ID)
		stateIs(t, s, turns[i], rdev.StateRunning)
		until(t, "it waits no longer", func() bool { p, known := s.QueuePosition(turns[i]); return known && p == 0 })
		running = get(t, s, turns[i])
	}
}

func TestACommandThatWaitsInVainFails(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t, limited(1, 0))
	runAs(t, s, key("a"), shell("sleep"))
	cmd := runAs(t, s, key("b"), waiting("hello", 20*time.Millisecond))
	output, terminal := follow(t, s, cmd.ID, 0)
	is.Equal(output, "")
	is.True(strings.Contains(string(terminal.Data), `"code":"TOO_MANY_COMMANDS"`))
	got := get(t, s, cmd.ID)
	is.Equal(got.State, rdev.StateFailed)
	is.Equal(got.Code, rdev.CodeTooManyCommands)
	is.True(got.StartedAt.IsZero()) // it never ran
}

func TestACommandThatWaitsCanBeCancelled(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t, limited(1, 0))
	runAs(t, s, key("a"), shell("sleep"))
	cmd := runAs(t, s, key("b"), waiting("hello", time.Minute))
	cancelled(t, s, cmd.ID)
	follow(t, s, cmd.ID, 0)
	is.Equal(get(t, s, cmd.ID).State, rdev.StateCanceled)
	is.True(get(t, s, cmd.ID).StartedAt.IsZero())
}

func TestCommandsThatWaitSurviveARestart(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := p.open(t, limited(1, 0), func(c *rdev.Config) { c.LeaveRunning = true })
	running := runAs(t, s, key("a"), shell("sleep"))
	first := runAs(t, s, key("a"), waiting("hello", time.Minute))
	time.Sleep(2 * time.Millisecond) // ids sort by milliseconds
	second := runAs(t, s, key("b"), waiting("hello", time.Minute))
	shut(t, s)
	is.Equal(get(t, s, first.ID).State, rdev.StateQueued)

	next := p.open(t, limited(1, 0))
	until(t, "it waits where it was", func() bool { position, _ := next.QueuePosition(second.ID); return position == 2 })
	cancelled(t, next, running.ID)
	for _, id := range []string{first.ID, second.ID} {
		output, _ := follow(t, next, id, 0)
		is.Equal(output, "hello\nworld\n")
	}
}

func TestAWaitThatIsTooLongIsRefused(t *testing.T) {
	s := newParts(t).open(t, func(c *rdev.Config) { c.MaxWait = time.Minute })
	for _, wait := range []time.Duration{-1, time.Minute + 1} {
		_, _, err := s.Run(t.Context(), auth.Admin(), waiting("hello", wait))
		var argument *rdev.ArgumentError
		if !errors.As(err, &argument) || argument.Field != "max_wait" {
			t.Fatalf("max_wait %v: %v", wait, err)
		}
	}
	runAs(t, s, auth.Admin(), waiting("hello", time.Minute)) // there is room: it does not wait
}
