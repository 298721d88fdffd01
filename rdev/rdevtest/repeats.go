package rdevtest

import (
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/rdev"
)

// repeatable returns a record with an idempotency key.
func repeatable(n int) rdev.Command {
	c := command(n)
	c.IdempotencyKey = "once"
	return c
}

// repeats inserts c and fails unless first is returned instead.
func repeats(t *testing.T, s rdev.Commands, c, first rdev.Command) {
	t.Helper()
	stored, created, err := s.Insert(ctx(t), c)
	if err != nil || created {
		t.Fatalf("Insert(%s): created %t, %v, want %s", c.ID, created, err, first.ID)
	}
	want(t, stored, first)
	if _, err := s.Get(ctx(t), c.ID); err == nil {
		t.Fatalf("%s was stored", c.ID)
	}
}

func repeatedRequest(t *testing.T, s rdev.Commands) {
	first := repeatable(1)
	insert(t, s, first)
	repeats(t, s, repeatable(2), first)
	ended := update(t, s, first.ID, func(c *rdev.Command) { c.State = rdev.StateFailed })
	repeats(t, s, repeatable(3), ended)
}

func noIdempotencyKey(t *testing.T, s rdev.Commands) {
	insert(t, s, command(1))
	insert(t, s, command(2))
}

func idempotencyKeyIsScoped(t *testing.T, s rdev.Commands) {
	insert(t, s, repeatable(1))
	otherKey, otherProject, otherText := repeatable(2), repeatable(3), repeatable(4)
	otherKey.KeyID = "other0000000"
	otherProject.Project = "web"
	otherText.IdempotencyKey = "twice"
	insert(t, s, otherKey)
	insert(t, s, otherProject)
	insert(t, s, otherText)
}

func idempotencyKeyExpires(t *testing.T, s rdev.Commands) {
	first := repeatable(1)
	insert(t, s, first)
	within, after, again := repeatable(2), repeatable(3), repeatable(4)
	within.CreatedAt = first.CreatedAt.Add(rdev.IdempotencyTTL - time.Microsecond)
	after.CreatedAt = first.CreatedAt.Add(rdev.IdempotencyTTL)
	again.CreatedAt = after.CreatedAt.Add(time.Hour)
	repeats(t, s, within, first)
	insert(t, s, after)
	repeats(t, s, again, after)
}

func concurrentRequests(t *testing.T, s rdev.Commands) {
	const requests = 8
	var wait sync.WaitGroup
	ids := make([]string, requests)
	created := make([]bool, requests)
	errs := make([]error, requests)
	for n := range requests {
		wait.Go(func() {
			var c rdev.Command
			c, created[n], errs[n] = s.Insert(ctx(t), repeatable(n))
			ids[n] = c.ID
		})
	}
	wait.Wait()
	winners := 0
	for n := range requests {
		if errs[n] != nil {
			t.Fatal(errs[n])
		}
		if ids[n] != ids[0] {
			t.Fatalf("two requests got %s and %s", ids[0], ids[n])
		}
		if created[n] {
			winners++
		}
	}
	if winners != 1 {
		t.Fatalf("%d requests were told that theirs was created, want 1", winners)
	}
}
