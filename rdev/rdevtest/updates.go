package rdevtest

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

func updateStores(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	insert(t, s, command(2))
	wanted := command(1)
	wanted.State, wanted.StartedAt = rdev.StateRunning, moment().Add(time.Minute)
	wanted.Spec.Target.Instance = "pod-2"
	want(t, update(t, s, wanted.ID, func(c *rdev.Command) {
		c.State, c.StartedAt = wanted.State, wanted.StartedAt
		c.Spec.Target.Instance = "pod-2"
	}), wanted)
	want(t, get(t, s, wanted.ID), wanted)

	wanted.State, wanted.EndedAt = rdev.StateCanceled, moment().Add(time.Hour)
	wanted.CancelRequestedAt = moment().Add(2 * time.Minute)
	wanted.Code, wanted.Message = rdev.CodeCanceled, "it was cancelled"
	wanted.Claude = &rdev.ClaudeResult{
		Subtype: "error_max_turns", IsError: true, SessionID: "6e57a40c-ddd5-4d35-a23b-5453186726bb", Turns: 3, Denials: 1,
		Usage: rdev.ClaudeUsage{InputTokens: 1, OutputTokens: 2, CacheReadTokens: 3, CacheWriteTokens: 4}, CostUSD: 0.001022251,
		SessionUsage: rdev.ClaudeUsage{InputTokens: 5}, SessionCostUSD: 0.3,
	}
	wanted.Result = &exec.Result{
		ExitCode: -1, Signal: "SIGTERM", Reason: exec.Canceled, Lines: 7, StdoutBytes: 8, StderrBytes: 9,
		Truncated: true, Survivors: []int{4711}, Duration: 59*time.Minute + 1,
		Started: moment().Add(time.Minute), Ended: moment().Add(time.Hour),
	}
	want(t, update(t, s, wanted.ID, func(c *rdev.Command) {
		spec := c.Spec
		*c = wanted
		c.Spec = spec
	}), erased(wanted))
	want(t, get(t, s, wanted.ID), erased(wanted))
	want(t, get(t, s, command(2).ID), command(2))
}

func erased(c rdev.Command) rdev.Command {
	c.Spec.Stdin, c.Spec.Env = nil, nil
	return c
}

func updateKeeps(t *testing.T, s rdev.Commands) {
	insert(t, s, repeatable(1))
	updated := update(t, s, command(1).ID, func(c *rdev.Command) {
		c.ID, c.Project, c.Type, c.KeyID = "cmd-other", "other", policy.TypeGit, "other"
		c.Policy = policy.Strict
		c.CreatedAt, c.From = moment().Add(time.Hour), netip.Addr{}
		c.IdempotencyKey, c.RequestDigest = "other", "other"
		c.RequestID, c.Trace = "other", rdev.Trace{}
	})
	want(t, updated, repeatable(1))
	want(t, get(t, s, command(1).ID), repeatable(1))
	repeats(t, s, repeatable(2), repeatable(1))
}

func updateFails(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	sentinel := errors.New("no")
	_, err := s.Update(ctx(t), command(1).ID, func(c *rdev.Command) error {
		c.State = rdev.StateRunning
		spoil(*c)
		return sentinel
	})
	if err != sentinel { //nolint:errorlint // the contract says: as it is
		t.Fatalf("Update: %v, want the error of change as it is", err)
	}
	want(t, get(t, s, command(1).ID), command(1))
}

func states() []rdev.State {
	return []rdev.State{
		rdev.StateQueued, rdev.StateRunning, rdev.StateSucceeded, rdev.StateFailed,
		rdev.StateCanceled, rdev.StateTimedOut, rdev.StateLost,
	}
}

func onlyAllowedTransitions(t *testing.T, s rdev.Commands) {
	n := 0
	for _, from := range []rdev.State{rdev.StateQueued, rdev.StateRunning} {
		for _, to := range states() {
			n++
			c := command(n)
			insert(t, s, c)
			if from != rdev.StateQueued {
				c = update(t, s, c.ID, func(c *rdev.Command) { c.State = from })
			}
			_, err := s.Update(ctx(t), c.ID, func(c *rdev.Command) error {
				c.State, c.Message = to, "changed"
				return nil
			})
			switch allowed := from == to || from.CanBecome(to); {
			case allowed && err != nil:
				t.Fatalf("from %s to %s: %v", from, to, err)
			case !allowed && !errors.Is(err, rdev.ErrStaleState):
				t.Fatalf("from %s to %s: %v, want ErrStaleState", from, to, err)
			case !allowed:
				want(t, get(t, s, c.ID), c)
			}
		}
	}
}

func endedRecord(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	ended := update(t, s, command(1).ID, func(c *rdev.Command) { c.State = rdev.StateLost })
	for _, to := range states() {
		_, err := s.Update(ctx(t), ended.ID, func(c *rdev.Command) error {
			c.State, c.Message = to, "changed"
			return nil
		})
		if !errors.Is(err, rdev.ErrStaleState) {
			t.Fatalf("to %s: %v, want ErrStaleState", to, err)
		}
	}
	want(t, get(t, s, ended.ID), ended)
}

func endedRecordLosesSecrets(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	running := update(t, s, command(1).ID, func(c *rdev.Command) { c.State = rdev.StateRunning })
	if len(running.Spec.Env) == 0 || len(running.Spec.Stdin) == 0 {
		t.Fatal("a running record lost its environment or its input")
	}
	update(t, s, command(1).ID, func(c *rdev.Command) { c.State = rdev.StateSucceeded })
	ended := get(t, s, command(1).ID)
	if ended.Spec.Env != nil || ended.Spec.Stdin != nil {
		t.Fatal("an ended record has its environment or its input")
	}
}

func concurrentUpdates(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	const writers, each = 8, 10
	failures := make(chan error, writers*each)
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				_, err := s.Update(ctx(t), command(1).ID, func(c *rdev.Command) error {
					c.Message += "+"
					return nil
				})
				if err != nil {
					failures <- err
				}
			}
		})
	}
	wait.Wait()
	close(failures)
	for err := range failures {
		t.Fatal(err)
	}
	if got := len(get(t, s, command(1).ID).Message); got != writers*each {
		t.Fatalf("%d of %d updates were lost", writers*each-got, writers*each)
	}
}

func twoEnds(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	ends := []rdev.State{rdev.StateFailed, rdev.StateCanceled, rdev.StateLost}
	errs := make([]error, len(ends))
	var wait sync.WaitGroup
	for n, end := range ends {
		wait.Go(func() {
			_, errs[n] = s.Update(ctx(t), command(1).ID, func(c *rdev.Command) error {
				c.State = end
				return nil
			})
		})
	}
	wait.Wait()
	var winner rdev.State
	for n, err := range errs {
		switch {
		case err == nil && winner != "":
			t.Fatalf("the record became both %s and %s", winner, ends[n])
		case err == nil:
			winner = ends[n]
		case !errors.Is(err, rdev.ErrStaleState):
			t.Fatalf("an end that lost: %v, want ErrStaleState", err)
		}
	}
	if got := get(t, s, command(1).ID).State; got != winner || winner == "" {
		t.Fatalf("the record is %s, want %s", got, winner)
	}
}
