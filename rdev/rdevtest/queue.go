package rdevtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/rdev"
)

// QueuedCommands are Commands whose Insert obeys gates.
type QueuedCommands interface {
	rdev.Commands
	rdev.Queue
}

// Queue tests the rdev.Queue that open returns, fresh and empty ones each time,
// and the gates of its Insert. open registers the cleanup of what it opens with
// t.Cleanup.
func Queue(t *testing.T, open func(t *testing.T) QueuedCommands) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s QueuedCommands)
	}{
		{"TheLimitOfAProjectHolds", projectLimit},
		{"TheLimitOfAKeyHoldsOverProjects", keyLimit},
		{"TheLimitOfAKeyInAProjectHoldsThere", keyInProjectLimit},
		{"WithoutAGateNothingIsRefused", noGate},
		{"TheGateIsNotReadBack", gateIsNotReadBack},
		{"ARepeatedRequestNeedsNoPlace", repeatNeedsNoPlace},
		{"OfConcurrentInsertsNoMoreGoThanMay", concurrentInserts},

		{"WhatWaitsTakesNoPlace", waitingTakesNone},
		{"AdmitGivesThePlacesThatAreFree", admitGives},
		{"WhatHasEndedIsLeftOut", endedIsLeftOut},
		{"KeysTakeTurns", keysTakeTurns},
		{"AKeyWithoutAPlaceIsPassedOver", passedOver},
		{"AKeyWithoutAPlaceGivesNoHeadStart", noHeadStart},
		{"NobodyOvertakesWhoCouldGo", nobodyOvertakes},
		{"TheQueueIsBoundedAndHalfOfItIsForOneKey", queueIsBounded},
		{"OfConcurrentAdmitsNoMoreGoThanMay", concurrentAdmits},
		{"ItBehavesAsMemory", behavesAsMemory},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// gated returns the record of a running command.
func gated(n int, key, project string, gate rdev.Gate) rdev.Command {
	c := command(n)
	c.KeyID, c.Project, c.Spec.Target.Name = key, project, project
	c.State, c.StartedAt, c.Gate = rdev.StateRunning, c.CreatedAt, gate
	return c
}

// waits makes the record one of a command that waits.
func waits(c rdev.Command) rdev.Command {
	c.State, c.StartedAt = rdev.StateQueued, time.Time{}
	c.WaitUntil = c.CreatedAt.Add(time.Hour)
	return c
}

// enter inserts the record, which must have room.
func enter(t *testing.T, s rdev.Commands, c rdev.Command) string {
	t.Helper()
	if _, created, err := s.Insert(ctx(t), c); err != nil || !created {
		t.Fatalf("Insert(%s): created %t, %v", c.ID, created, err)
	}
	return c.ID
}

func refused(t *testing.T, s rdev.Commands, c rdev.Command, limit rdev.Limit, most int) {
	t.Helper()
	_, created, err := s.Insert(ctx(t), c)
	var got *rdev.LimitError
	if created || !errors.Is(err, rdev.ErrTooManyCommands) || !errors.As(err, &got) {
		t.Fatalf("Insert(%s): created %t, %v; want a LimitError", c.ID, created, err)
	}
	if got.Limit != limit || got.Max != most {
		t.Fatalf("Insert(%s): limit %s of %d, want %s of %d", c.ID, got.Limit, got.Max, limit, most)
	}
	if _, err := s.Get(ctx(t), c.ID); !errors.Is(err, rdev.ErrCommandNotFound) {
		t.Fatalf("Get of a refused record: %v", err)
	}
}

func end(t *testing.T, s rdev.Commands, id string) {
	t.Helper()
	update(t, s, id, func(c *rdev.Command) {
		c.State, c.EndedAt = rdev.StateFailed, c.CreatedAt.Add(time.Minute)
		c.Result = &exec.Result{ExitCode: 1}
	})
}

// positions asks for the commands, and returns those that wait, or have a
// place, as "id:position".
func positions(t *testing.T, s rdev.Queue, ids ...string) []string {
	t.Helper()
	places, err := s.Admit(ctx(t), ids)
	if err != nil {
		t.Fatalf("Admit: %v", err)
	}
	var found []string
	for _, p := range places {
		found = append(found, at(p.CommandID, p.Position))
	}
	slices.Sort(found)
	return found
}

func at(id string, position int) string { return fmt.Sprintf("%s:%d", id, position) }

func projectLimit(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 2}
	first := enter(t, s, gated(1, "a", "api", gate))
	enter(t, s, gated(2, "b", "api", gate))
	refused(t, s, gated(3, "c", "api", gate), rdev.LimitProjectCommands, 2)
	enter(t, s, gated(4, "c", "web", gate))
	end(t, s, first)
	enter(t, s, gated(5, "c", "api", gate))
	refused(t, s, gated(6, "c", "api", gate), rdev.LimitProjectCommands, 2)
}

func keyLimit(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Key: 2}
	first := enter(t, s, gated(1, "a", "api", gate))
	enter(t, s, gated(2, "a", "web", gate))
	refused(t, s, gated(3, "a", "docs", gate), rdev.LimitKeyCommands, 2)
	enter(t, s, gated(4, "b", "api", gate))
	end(t, s, first)
	enter(t, s, gated(5, "a", "docs", gate))
}

func keyInProjectLimit(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{KeyInProject: 1}
	first := enter(t, s, gated(1, "a", "api", gate))
	enter(t, s, gated(2, "a", "web", gate))
	refused(t, s, gated(3, "a", "api", gate), rdev.LimitKeyInProject, 1)
	enter(t, s, gated(4, "b", "api", gate))
	end(t, s, first)
	enter(t, s, gated(5, "a", "api", gate))
}

// noGate: a record without a gate goes in always, and is counted for others.
func noGate(t *testing.T, s QueuedCommands) {
	enter(t, s, gated(1, "a", "api", rdev.Gate{Project: 1}))
	enter(t, s, gated(2, "a", "api", rdev.Gate{}))
	refused(t, s, gated(3, "a", "api", rdev.Gate{Project: 2}), rdev.LimitProjectCommands, 2)
}

func gateIsNotReadBack(t *testing.T, s QueuedCommands) {
	c := waits(gated(1, "a", "api", rdev.Gate{Project: 1, Queue: 10}))
	stored, _, err := s.Insert(ctx(t), c)
	if err != nil {
		t.Fatal(err)
	}
	c.Gate = rdev.Gate{}
	want(t, stored, c)
	want(t, get(t, s, c.ID), c)
}

func repeatNeedsNoPlace(t *testing.T, s QueuedCommands) {
	first := gated(1, "a", "api", rdev.Gate{Project: 1})
	first.IdempotencyKey = "once"
	enter(t, s, first)
	again := gated(2, "a", "api", rdev.Gate{Project: 1})
	again.IdempotencyKey = "once"
	stored, created, err := s.Insert(ctx(t), again)
	if err != nil || created || stored.ID != first.ID {
		t.Fatalf("a repeated request: %s, created %t, %v", stored.ID, created, err)
	}
	other := gated(3, "a", "api", rdev.Gate{Project: 1})
	other.IdempotencyKey = "another"
	refused(t, s, other, rdev.LimitProjectCommands, 1)
}

func concurrentInserts(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 5, Key: 3, Queue: 4}
	var wait sync.WaitGroup
	var went atomic.Int64
	for n := range 32 {
		wait.Go(func() {
			_, created, err := s.Insert(ctx(t), gated(n, fmt.Sprint(n%2), "api", gate))
			switch {
			case created:
				went.Add(1)
			case !errors.Is(err, rdev.ErrTooManyCommands):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := went.Load(); got != 5 {
		t.Fatalf("%d commands have a place, want 5", got)
	}
}

func waitingTakesNone(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 1, Queue: 10}
	running := enter(t, s, gated(1, "a", "api", gate))
	waiting := enter(t, s, waits(gated(2, "a", "api", gate)))
	wantIDs(t, positions(t, s, running, waiting), at(running, 0), at(waiting, 1))
	end(t, s, running)
	// One that waits takes a place by Admit alone.
	wantIDs(t, positions(t, s, waiting), at(waiting, 0))
	refused(t, s, gated(3, "a", "api", gate), rdev.LimitProjectCommands, 1)
}

func admitGives(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 2, Queue: 20}
	one := enter(t, s, gated(1, "a", "api", gate))
	two := enter(t, s, gated(2, "a", "api", gate))
	var ids []string
	for n := range 4 {
		ids = append(ids, enter(t, s, waits(gated(10+n, "a", "api", gate))))
	}
	elsewhere := enter(t, s, waits(gated(20, "a", "web", gate)))
	wantIDs(t, positions(t, s, ids...), at(ids[0], 1), at(ids[1], 2), at(ids[2], 3), at(ids[3], 4))
	wantIDs(t, positions(t, s, elsewhere), at(elsewhere, 0))
	end(t, s, one)
	end(t, s, two)
	// Who asks for the last has the first ones go.
	wantIDs(t, positions(t, s, ids[3]), at(ids[3], 2))
	wantIDs(t, positions(t, s, ids...), at(ids[0], 0), at(ids[1], 0), at(ids[2], 1), at(ids[3], 2))
}

func endedIsLeftOut(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 1, Queue: 10}
	running := enter(t, s, gated(1, "a", "api", gate))
	gone := enter(t, s, waits(gated(2, "a", "api", gate)))
	next := enter(t, s, waits(gated(3, "a", "api", gate)))
	end(t, s, gone)
	wantIDs(t, positions(t, s, gone, next, "cmd-unknown"), at(next, 1))
	end(t, s, running)
	wantIDs(t, positions(t, s, gone, next), at(next, 0))
}

// order ends what runs, again and again, and returns in which order the waiting
// commands go.
func order(t *testing.T, s QueuedCommands, running string, waiting []string) []string {
	t.Helper()
	var went []string
	for len(waiting) > 0 {
		end(t, s, running)
		found := positions(t, s, waiting...)
		i := slices.IndexFunc(waiting, func(id string) bool { return slices.Contains(found, at(id, 0)) })
		if i < 0 {
			t.Fatalf("nobody got the place that is free: %q", found)
		}
		running = waiting[i]
		went = append(went, running)
		waiting = slices.Delete(slices.Clone(waiting), i, i+1)
	}
	return went
}

func keysTakeTurns(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 1, Queue: 100}
	running := enter(t, s, gated(1, "a", "api", gate))
	var a, b []string
	for n := range 4 {
		a = append(a, enter(t, s, waits(gated(10+n, "a", "api", gate))))
	}
	for n := range 2 {
		b = append(b, enter(t, s, waits(gated(20+n, "b", "api", gate))))
	}
	c := enter(t, s, waits(gated(30, "c", "api", gate)))
	all := slices.Concat(a, b, []string{c})
	wantIDs(t, order(t, s, running, all), a[0], b[0], c, a[1], b[1], a[2], a[3])
}

func passedOver(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 3, Key: 1, Queue: 100}
	running := enter(t, s, gated(1, "a", "api", gate))
	a := enter(t, s, waits(gated(2, "a", "api", gate)))
	wantIDs(t, positions(t, s, a), at(a, 1))
	enter(t, s, gated(3, "b", "api", gate)) // a could not go, so nobody is overtaken
	b := enter(t, s, waits(gated(4, "b", "api", gate)))
	c := enter(t, s, waits(gated(5, "c", "api", gate)))
	wantIDs(t, positions(t, s, a, b, c), at(a, 1), at(b, 2), at(c, 0))
	end(t, s, running)
	wantIDs(t, positions(t, s, a, b), at(a, 0), at(b, 1))
}

// noHeadStart: the low turn of a key that cannot go is not that of those who
// come later.
func noHeadStart(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 2, Key: 1, Queue: 100}
	enter(t, s, gated(1, "stuck", "api", gate))
	free := rdev.Gate{Project: 2, Queue: 100}
	running := enter(t, s, gated(2, "b", "api", free))
	enter(t, s, waits(gated(3, "stuck", "api", gate)))
	var b []string
	for n := range 4 {
		b = append(b, enter(t, s, waits(gated(10+n, "b", "api", free))))
	}
	end(t, s, running)
	wantIDs(t, positions(t, s, b[0]), at(b[0], 0))
	end(t, s, b[0])
	wantIDs(t, positions(t, s, b[1]), at(b[1], 0))
	// b[2] has the turn that is due now, and came first.
	c := enter(t, s, waits(gated(20, "c", "api", free)))
	wantIDs(t, order(t, s, b[1], []string{b[2], b[3], c}), b[2], c, b[3])
}

func nobodyOvertakes(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 1, Queue: 10}
	running := enter(t, s, gated(1, "a", "api", gate))
	waiting := enter(t, s, waits(gated(2, "a", "api", gate)))
	end(t, s, running)
	refused(t, s, gated(3, "b", "api", gate), rdev.LimitProjectCommands, 1)
	wantIDs(t, positions(t, s, waiting), at(waiting, 0))
}

func queueIsBounded(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 1, Queue: 4}
	enter(t, s, gated(1, "a", "api", gate))
	enter(t, s, waits(gated(2, "a", "api", gate)))
	last := enter(t, s, waits(gated(3, "a", "api", gate)))
	refused(t, s, waits(gated(4, "a", "api", gate)), rdev.LimitQueue, 4)
	enter(t, s, waits(gated(5, "b", "api", gate)))
	enter(t, s, waits(gated(6, "c", "api", gate)))
	refused(t, s, waits(gated(7, "d", "api", gate)), rdev.LimitQueue, 4)
	enter(t, s, waits(gated(8, "d", "web", gate)))
	end(t, s, last)
	enter(t, s, waits(gated(9, "d", "api", gate)))
}

func concurrentAdmits(t *testing.T, s QueuedCommands) {
	gate := rdev.Gate{Project: 3, Key: 2, Queue: 100}
	var ids []string
	for n := range 24 {
		ids = append(ids, enter(t, s, waits(gated(n, fmt.Sprint(n%4), []string{"api", "web"}[n/12], gate))))
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, err := s.Admit(ctx(t), ids); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	// Who came second at a lock has left the rest to be done.
	placed := map[string]int{}
	for _, id := range positions(t, s, ids...) {
		if id[len(id)-2:] == ":0" {
			c := get(t, s, id[:len(id)-2])
			placed[c.Project]++
			placed["key "+c.KeyID]++
		}
	}
	if placed["api"] != 3 || placed["web"] != 3 {
		t.Fatalf("places by project and key: %v, want three in each project", placed)
	}
	for _, key := range []string{"0", "1", "2", "3"} {
		if placed["key "+key] > 2 {
			t.Fatalf("places by project and key: %v, want two of a key at most", placed)
		}
	}
}
