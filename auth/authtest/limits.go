package authtest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
)

// Limits tests the auth.LimitStore that open returns, a fresh and empty one each
// time. open registers the cleanup of what it opens with t.Cleanup.
func Limits(t *testing.T, open func(t *testing.T) auth.LimitStore) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s auth.LimitStore)
	}{
		{"TheBurstAndNoMoreCanBeTaken", takeBurst},
		{"NoMoreIsTakenThanIsLeft", takePart},
		{"TimeGivesBackAtTheRate", takeAfterAWhile},
		{"KeysAreApart", takeApart},
		{"TakenTellsWhatIsLeft", takeTells},
		{"OfConcurrentTakersTheBurstIsServed", takeConcurrently},

		{"NoMoreIsHeldThanMay", holdMost},
		{"HoldReplacesWhatWasHeld", holdReplaces},
		{"ARefusedHoldChangesNothing", holdRefused},
		{"WhatIsNotKeptRunsOut", holdRunsOut},
		{"WhatIsKeptDoesNotRunOut", holdIsKept},
		{"KeepSaysAllThatIsHeld", keepSaysAll},
		{"OfConcurrentHoldersNoMoreHoldThanMay", holdConcurrently},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// slow gives nothing back while a test runs.
var slow = auth.Rate{Requests: 1, Per: time.Hour, Burst: 10}

func take(t *testing.T, s auth.LimitStore, key string, rate auth.Rate, n int) auth.Taken {
	t.Helper()
	taken, err := s.Take(ctx(t), key, rate, n)
	if err != nil {
		t.Fatalf("Take(%s, %d): %v", key, n, err)
	}
	return taken
}

func takeBurst(t *testing.T, s auth.LimitStore) {
	for i := range slow.Burst {
		if got := take(t, s, "a", slow, 1).N; got != 1 {
			t.Fatalf("request %d: took %d, want 1", i+1, got)
		}
	}
	for range 3 {
		if got := take(t, s, "a", slow, 1).N; got != 0 {
			t.Fatalf("behind the burst: took %d, want none", got)
		}
	}
}

func takePart(t *testing.T, s auth.LimitStore) {
	for i, want := range []int{4, 4, 2, 0} {
		if got := take(t, s, "a", slow, 4).N; got != want {
			t.Fatalf("question %d for 4: took %d, want %d", i+1, got, want)
		}
	}
	if got := take(t, s, "b", slow, 1000).N; got != slow.Burst {
		t.Fatalf("a question for 1000: took %d, want the burst, %d", got, slow.Burst)
	}
}

func takeAfterAWhile(t *testing.T, s auth.LimitStore) {
	const every = 50 * time.Millisecond
	rate := auth.Rate{Requests: 1, Per: every, Burst: 4}
	began := time.Now()
	taken := take(t, s, "a", rate, 4).N
	for time.Since(began) < 10*every || taken < 8 {
		if time.Since(began) > time.Minute {
			t.Fatalf("only %d were taken in a minute", taken)
		}
		time.Sleep(every / 10)
		taken += take(t, s, "a", rate, 4).N
	}
	if most := rate.Burst + int(time.Since(began)/every) + 1; taken > most {
		t.Fatalf("took %d, want %d at most", taken, most)
	}
}

func takeApart(t *testing.T, s auth.LimitStore) {
	take(t, s, "a", slow, slow.Burst)
	if got := take(t, s, "b", slow, 1).N; got != 1 {
		t.Fatalf("another key: took %d, want 1", got)
	}
}

func takeTells(t *testing.T, s auth.LimitStore) {
	near := func(what string, got, want time.Duration) {
		t.Helper()
		if got > want || got < want-time.Minute {
			t.Fatalf("%s is %v, want %v or a little less", what, got, want)
		}
	}
	first := take(t, s, "a", slow, 3)
	if first.Left != 7 || first.Next != 0 {
		t.Fatalf("after 3 of 10: %+v", first)
	}
	near("Whole", first.Whole, 3*time.Hour)
	last := take(t, s, "a", slow, 7)
	if last.N != 7 || last.Left != 0 {
		t.Fatalf("after 10 of 10: %+v", last)
	}
	near("Next", last.Next, time.Hour)
	none := take(t, s, "a", slow, 1)
	if none.N != 0 || none.Left != 0 {
		t.Fatalf("after 10 of 10: %+v", none)
	}
	near("Next", none.Next, time.Hour)
	near("Whole", none.Whole, 10*time.Hour)
}

func takeConcurrently(t *testing.T, s auth.LimitStore) {
	rate := auth.Rate{Requests: 1, Per: time.Hour, Burst: 100}
	var wait sync.WaitGroup
	var taken atomic.Int64
	for range 16 {
		wait.Go(func() {
			for range 20 {
				got, err := s.Take(ctx(t), "a", rate, 1)
				if err != nil {
					t.Error(err)
					return
				}
				taken.Add(int64(got.N))
			}
		})
	}
	wait.Wait()
	if got := taken.Load(); got != 100 {
		t.Fatalf("took %d, want exactly the burst, 100", got)
	}
}

func hold(t *testing.T, s auth.LimitStore, holder, key string, n int, want bool) {
	t.Helper()
	holdFor(t, s, holder, key, n, time.Hour, want)
}

// holdFor holds n of five places.
func holdFor(t *testing.T, s auth.LimitStore, holder, key string, n int, ttl time.Duration, want bool) {
	t.Helper()
	if ok, err := s.Hold(ctx(t), holder, key, n, 5, ttl); err != nil || ok != want {
		t.Fatalf("Hold(%s, %s, %d): %t, %v; want %t", holder, key, n, ok, err, want)
	}
}

func holdMost(t *testing.T, s auth.LimitStore) {
	hold(t, s, "one", "a", 3, true)
	hold(t, s, "two", "a", 2, true)
	hold(t, s, "three", "a", 1, false)
	hold(t, s, "three", "b", 5, true)
}

func holdReplaces(t *testing.T, s auth.LimitStore) {
	hold(t, s, "one", "a", 4, true)
	hold(t, s, "one", "a", 5, true)
	hold(t, s, "one", "a", 6, false)
	hold(t, s, "one", "a", 1, true)
	hold(t, s, "two", "a", 4, true)
}

func holdRefused(t *testing.T, s auth.LimitStore) {
	hold(t, s, "one", "a", 3, true)
	hold(t, s, "one", "a", 9, false)
	hold(t, s, "two", "a", 3, false)
	hold(t, s, "two", "a", 2, true)
}

func holdRunsOut(t *testing.T, s auth.LimitStore) {
	holdFor(t, s, "dead", "a", 5, time.Second, true)
	began := time.Now()
	for {
		ok, err := s.Hold(ctx(t), "two", "a", 1, 5, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("the places did not run out within a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if early := time.Second - time.Since(began); early > 100*time.Millisecond {
		t.Fatalf("the places ran out %v too early", early)
	}
}

func holdIsKept(t *testing.T, s auth.LimitStore) {
	holdFor(t, s, "one", "a", 5, 2*time.Second, true)
	keep(t, s, "one", map[string]int{"a": 5})
	for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(50 * time.Millisecond) {
		hold(t, s, "two", "a", 1, false)
	}
}

func keep(t *testing.T, s auth.LimitStore, holder string, held map[string]int) {
	t.Helper()
	if err := s.Keep(ctx(t), holder, held, time.Hour); err != nil {
		t.Fatalf("Keep(%s, %v): %v", holder, held, err)
	}
}

func keepSaysAll(t *testing.T, s auth.LimitStore) {
	hold(t, s, "one", "a", 5, true)
	hold(t, s, "one", "b", 5, true)
	keep(t, s, "one", map[string]int{"b": 2, "c": 4})
	hold(t, s, "two", "a", 5, true)
	hold(t, s, "two", "b", 4, false)
	hold(t, s, "two", "b", 3, true)
	hold(t, s, "two", "c", 2, false)
	hold(t, s, "two", "c", 1, true)
	keep(t, s, "one", nil)
	hold(t, s, "two", "b", 5, true)
	keep(t, s, "three", nil) // who holds nothing
}

func holdConcurrently(t *testing.T, s auth.LimitStore) {
	var wait sync.WaitGroup
	var held atomic.Int64
	for n := range 16 {
		wait.Go(func() {
			ok, err := s.Hold(ctx(t), fmt.Sprint(n), "a", 1, 5, time.Hour)
			if err != nil {
				t.Error(err)
			}
			if ok {
				held.Add(1)
			}
		})
	}
	wait.Wait()
	if got := held.Load(); got != 5 {
		t.Fatalf("%d hold a place, want 5", got)
	}
}
