package rdevtest

import (
	"testing"
	"time"

	"github.com/orchard9/rdev/rdev"
)

// backlog asks commands that can tell; rdev.Backlogs is optional.
func backlog(t *testing.T, s rdev.Commands) (b rdev.Backlog, told bool) {
	t.Helper()
	backlogs, ok := s.(rdev.Backlogs)
	if !ok {
		return rdev.Backlog{}, false
	}
	b, err := backlogs.Backlog(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return b, true
}

func backlogOfQueued(t *testing.T, s rdev.Commands) {
	b, told := backlog(t, s)
	if !told {
		return
	}
	if b != (rdev.Backlog{}) {
		t.Errorf("of no commands: %+v", b)
	}
	made := time.Now().Add(-time.Hour)
	for i, state := range []rdev.State{rdev.StateQueued, rdev.StateQueued, rdev.StateRunning} {
		c := command(i + 1)
		c.CreatedAt, c.State = made.Add(time.Duration(i)*time.Minute), state
		if state == rdev.StateRunning { // older, and no longer queued
			c.CreatedAt = made.Add(-time.Hour)
		}
		if _, _, err := s.Insert(ctx(t), c); err != nil {
			t.Fatal(err)
		}
	}
	if b, _ = backlog(t, s); b.Queued != 2 || b.QueueAge < time.Hour || b.QueueAge > time.Hour+10*time.Minute {
		t.Errorf("two queued, the oldest for an hour: %+v", b)
	}
}

func backlogOfLeases(t *testing.T, s LeasedCommands) {
	_, told := backlog(t, s)
	if !told {
		return
	}
	id := insertOwned(t, s, 1, "a")
	update(t, s, id, func(c *rdev.Command) { c.State = rdev.StateRunning })
	if b, _ := backlog(t, s); b.Unowned != 0 || b.LeaseAge > short {
		t.Errorf("just leased: %+v", b)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if b, _ := backlog(t, s); b.Unowned == 1 && b.LeaseAge >= short {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("nobody renews: %+v", b)
		}
	}
	wantIDs(t, claim(t, s, "b", 1), id)
	if b, _ := backlog(t, s); b.Unowned != 0 || b.LeaseAge > short {
		t.Errorf("claimed: %+v", b)
	}
	if err := s.Release(ctx(t), "b", []string{id}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if b, _ := backlog(t, s); b.Unowned == 1 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("released: %+v", b)
		}
	}
}
