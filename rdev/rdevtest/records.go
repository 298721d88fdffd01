package rdevtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/orchard9/rdev/rdev"
)

func insertThenGet(t *testing.T, s rdev.Commands) {
	for n := range 3 {
		insert(t, s, command(n))
	}
	for n := range 3 {
		want(t, get(t, s, command(n).ID), command(n))
	}
}

func zeroTimes(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	got := get(t, s, command(1).ID)
	if !got.StartedAt.IsZero() || !got.EndedAt.IsZero() || !got.CancelRequestedAt.IsZero() {
		t.Fatalf("got started %v, ended %v, cancel requested %v, want zero times", got.StartedAt, got.EndedAt, got.CancelRequestedAt)
	}
}

func timesAreKept(t *testing.T, s rdev.Commands) {
	c := command(1)
	exact := c.CreatedAt
	c.CreatedAt = exact.Add(999).In(time.FixedZone("elsewhere", 5*3600))
	stored, _, err := s.Insert(ctx(t), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []time.Time{stored.CreatedAt, get(t, s, c.ID).CreatedAt} {
		if got != exact {
			t.Fatalf("got %v, want %v", got, exact)
		}
	}
}

func anyText(t *testing.T, s rdev.Commands) {
	c := command(1)
	text := "Robert'); DROP TABLE commands;-- \"é\" 世界 <&> \u2028 \x01 %s $1 ?"
	c.Argv = []string{text, "", "-"}
	c.Spec.Argv = []string{text, ""}
	c.Spec.Env = map[string]string{text: text, "EMPTY": ""}
	c.Spec.Stdin = []byte{0, 1, 0xff, '\n', 0xfe}
	c.IdempotencyKey = text
	insert(t, s, c)
	want(t, get(t, s, c.ID), c)

	// No input is another thing than an empty one.
	for n, stdin := range [][]byte{nil, {}} {
		c := command(n + 2)
		c.Spec.Stdin = stdin
		insert(t, s, c)
		if got := get(t, s, c.ID).Spec.Stdin; (got == nil) != (stdin == nil) {
			t.Fatalf("stdin %#v was returned as %#v", stdin, got)
		}
	}
}

func takenID(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	other := command(2)
	other.ID = command(1).ID
	if _, created, err := s.Insert(ctx(t), other); err == nil || created {
		t.Fatalf("Insert of a taken id: created %t, %v", created, err)
	}
	want(t, get(t, s, command(1).ID), command(1))
}

func unknownID(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	if _, err := s.Get(ctx(t), "cmd-unknown"); !errors.Is(err, rdev.ErrCommandNotFound) {
		t.Fatalf("Get: %v, want ErrCommandNotFound", err)
	}
	_, err := s.Update(ctx(t), "cmd-unknown", func(*rdev.Command) error {
		t.Error("change was called")
		return nil
	})
	if !errors.Is(err, rdev.ErrCommandNotFound) {
		t.Fatalf("Update: %v, want ErrCommandNotFound", err)
	}
}

func ownerIsNotReadBack(t *testing.T, s rdev.Commands) {
	c := command(1)
	c.Owner = "replica-1"
	stored, _, err := s.Insert(ctx(t), c)
	if err != nil {
		t.Fatal(err)
	}
	want(t, stored, command(1))
	want(t, get(t, s, c.ID), command(1))
}

func storedRecords(t *testing.T, s rdev.Commands) {
	c := command(1)
	stored, _, err := s.Insert(ctx(t), c)
	if err != nil {
		t.Fatal(err)
	}
	spoil(c)
	spoil(stored)
	spoil(get(t, s, c.ID))
	page, err := s.List(ctx(t), rdev.CommandFilter{}, 1)
	if err != nil || len(page) != 1 {
		t.Fatalf("List: %d records, %v", len(page), err)
	}
	spoil(page[0])
	var kept rdev.Command
	spoil(update(t, s, c.ID, func(c *rdev.Command) { kept = *c }))
	spoil(kept)
	want(t, get(t, s, c.ID), command(1))
}

// spoil overwrites what c points to.
func spoil(c rdev.Command) {
	c.Argv[0], c.Spec.Argv[0] = "spoilt", "spoilt"
	c.Spec.Env["TOKEN"] = "spoilt"
	c.Spec.Stdin[0]++
}

func endedContext(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	ended, cancel := context.WithCancel(ctx(t))
	cancel()
	if _, _, err := s.Insert(ended, command(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("Insert: %v, want context.Canceled", err)
	}
	if _, err := s.Get(ended, command(1).ID); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v, want context.Canceled", err)
	}
	if _, err := s.List(ended, rdev.CommandFilter{}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v, want context.Canceled", err)
	}
	if _, err := s.Update(ended, command(1).ID, func(*rdev.Command) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v, want context.Canceled", err)
	}
}
