package rdevtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/rdev"
)

// LeasedCommands is what several Services share.
type LeasedCommands interface {
	rdev.Commands
	rdev.Leases
}

// Leases tests the rdev.Leases that open returns, fresh and empty ones each
// time, whose leases last for ttl. The suite waits for leases to run out, so
// ttl should be short, and it holds them, so it should not be too short: about
// two seconds. open registers the cleanup of what it opens with t.Cleanup.
func Leases(t *testing.T, open func(t *testing.T, ttl time.Duration) LeasedCommands) {
	for _, test := range []struct {
		name string
		ttl  time.Duration
		run  func(t *testing.T, s LeasedCommands)
	}{
		{"TTLIsHowLongALeaseLasts", long, ttlIsTold},
		{"InsertWithAnOwnerHoldsALease", long, insertHolds},
		{"ClaimTakesWhatNobodyOwns", long, claimTakesUnowned},
		{"ClaimTakesWhatHasRunOut", short, claimTakesRunOut},
		{"ClaimTakesNoMoreThanItsLimit", long, claimIsLimited},
		{"ClaimTakesNothingThatHasEnded", long, claimLeavesEnded},
		{"ClaimedRecordsAreWhole", long, claimedAreWhole},
		{"OfConcurrentClaimersOneGetsACommand", long, concurrentClaims},
		{"RenewTellsWhatIsStillHeld", long, renewTellsHeld},
		{"RenewTellsOfCancelRequests", long, renewTellsCancel},
		{"RenewedLeasesDoNotRunOut", short, renewExtends},
		{"ALeaseThatWasTakenOverStaysSo", short, takenOverStays},
		{"EndedCommandsAreNotRenewed", long, endedAreNotRenewed},
		{"ReleaseFreesAtOnce", long, releaseFrees},
		{"OnlyTheOwnerReleases", long, onlyOwnerReleases},
		{"BacklogTellsOfLeasesThatNobodyRenews", short, backlogOfLeases},
		{"ALeaseIsNoGuardOfTheRecord", long, leaseIsNoGuard},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t, test.ttl)) })
	}
}

const (
	long  = time.Hour
	short = 2 * time.Second
)

func owned(n int, owner string) rdev.Command {
	c := command(n)
	c.Owner = owner
	return c
}

func insertOwned(t *testing.T, s LeasedCommands, n int, owner string) string {
	t.Helper()
	c := owned(n, owner)
	if _, created, err := s.Insert(ctx(t), c); err != nil || !created {
		t.Fatalf("Insert: created %t, %v", created, err)
	}
	return c.ID
}

func claim(t *testing.T, s LeasedCommands, owner string, limit int) (ids []string) {
	t.Helper()
	found, err := s.Claim(ctx(t), owner, limit)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	return ids
}

// claimSoon claims until there is something, for a minute.
func claimSoon(t *testing.T, s LeasedCommands, owner string) []string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ids := claim(t, s, owner, 10); len(ids) > 0 {
			return ids
		}
	}
	t.Fatal("nothing could be claimed for a minute")
	return nil
}

func renew(t *testing.T, s LeasedCommands, owner string, ids ...string) (held []string) {
	t.Helper()
	leases, err := s.Renew(ctx(t), owner, ids)
	if err != nil {
		t.Fatalf("Renew: %v", err)
	}
	for _, l := range leases {
		held = append(held, l.CommandID)
	}
	slices.Sort(held)
	return held
}

func wantIDs(t *testing.T, got []string, wanted ...string) {
	t.Helper()
	if !slices.Equal(got, wanted) {
		t.Fatalf("got %q, want %q", got, wanted)
	}
}

func ttlIsTold(t *testing.T, s LeasedCommands) {
	if got := s.TTL(); got != long {
		t.Fatalf("TTL is %v, want %v", got, long)
	}
}

func insertHolds(t *testing.T, s LeasedCommands) {
	id := insertOwned(t, s, 1, "a")
	wantIDs(t, claim(t, s, "b", 10))
	wantIDs(t, renew(t, s, "a", id), id)
}

func claimTakesUnowned(t *testing.T, s LeasedCommands) {
	free, taken := insertOwned(t, s, 1, ""), insertOwned(t, s, 2, "a")
	wantIDs(t, claim(t, s, "b", 10), free)
	wantIDs(t, claim(t, s, "c", 10))
	wantIDs(t, renew(t, s, "b", free, taken), free)
}

func claimTakesRunOut(t *testing.T, s LeasedCommands) {
	id := insertOwned(t, s, 1, "a")
	began := time.Now()
	wantIDs(t, claimSoon(t, s, "b"), id)
	if held := time.Since(began); held < short/2 {
		t.Fatalf("a lease of %v was taken over after %v", short, held)
	}
}

func claimIsLimited(t *testing.T, s LeasedCommands) {
	for n := range 5 {
		insertOwned(t, s, n, "")
	}
	first, second := claim(t, s, "a", 3), claim(t, s, "a", 3)
	if len(first) != 3 || len(second) != 2 {
		t.Fatalf("of 5, with limit 3: %d and then %d", len(first), len(second))
	}
}

func claimLeavesEnded(t *testing.T, s LeasedCommands) {
	id := insertOwned(t, s, 1, "")
	update(t, s, id, func(c *rdev.Command) { c.State = rdev.StateFailed })
	wantIDs(t, claim(t, s, "a", 10))
}

func claimedAreWhole(t *testing.T, s LeasedCommands) {
	insertOwned(t, s, 1, "")
	found, err := s.Claim(ctx(t), "a", 10)
	if err != nil || len(found) != 1 {
		t.Fatalf("Claim: %d records, %v", len(found), err)
	}
	want(t, found[0], command(1))
}

func concurrentClaims(t *testing.T, s LeasedCommands) {
	const commands, claimers = 40, 8
	for n := range commands {
		insertOwned(t, s, n, "")
	}
	var mu sync.Mutex
	taken := map[string]string{}
	errs := make(chan error, claimers)
	var wait sync.WaitGroup
	for n := range claimers {
		owner := fmt.Sprintf("replica-%d", n)
		bounded := ctx(t)
		wait.Go(func() {
			for range commands { // each of few: another's rows may be passed over
				found, err := s.Claim(bounded, owner, 3)
				if err != nil {
					errs <- err
					return
				}
				mu.Lock()
				for _, c := range found {
					if other := taken[c.ID]; other != "" {
						errs <- fmt.Errorf("%s was given to %s and %s", c.ID, other, owner)
						mu.Unlock()
						return
					}
					taken[c.ID] = owner
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
	if len(taken) != commands {
		t.Fatalf("%d of %d commands were claimed", len(taken), commands)
	}
}

func renewTellsHeld(t *testing.T, s LeasedCommands) {
	mine, other := insertOwned(t, s, 1, "a"), insertOwned(t, s, 2, "b")
	free := insertOwned(t, s, 3, "")
	wantIDs(t, renew(t, s, "a", mine, other, free, "cmd-unknown"), mine)
	wantIDs(t, renew(t, s, "a"))
}

func renewTellsCancel(t *testing.T, s LeasedCommands) {
	first, second := insertOwned(t, s, 1, "a"), insertOwned(t, s, 2, "a")
	update(t, s, second, func(c *rdev.Command) { c.CancelRequestedAt = moment() })
	leases, err := s.Renew(ctx(t), "a", []string{first, second})
	if err != nil || len(leases) != 2 {
		t.Fatalf("Renew: %d leases, %v", len(leases), err)
	}
	for _, l := range leases {
		if l.CancelRequested != (l.CommandID == second) {
			t.Fatalf("%s: CancelRequested is %t", l.CommandID, l.CancelRequested)
		}
	}
}

func renewExtends(t *testing.T, s LeasedCommands) {
	id := insertOwned(t, s, 1, "a")
	last := time.Now()
	for end := last.Add(2 * short); last.Before(end); time.Sleep(short / 20) {
		wantIDs(t, renew(t, s, "a", id), id)
		if found := claim(t, s, "b", 10); len(found) > 0 {
			if late := time.Since(last); late < short/2 {
				t.Fatalf("a lease of %v was taken over %v after it was renewed", short, late)
			}
			return // this machine is too slow to tell
		}
		last = time.Now()
	}
}

func takenOverStays(t *testing.T, s LeasedCommands) {
	id := insertOwned(t, s, 1, "zombie")
	wantIDs(t, claimSoon(t, s, "heir"), id)
	wantIDs(t, renew(t, s, "zombie", id))
	if err := s.Release(ctx(t), "zombie", []string{id}); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, renew(t, s, "heir", id), id)
}

func endedAreNotRenewed(t *testing.T, s LeasedCommands) {
	id := insertOwned(t, s, 1, "a")
	update(t, s, id, func(c *rdev.Command) { c.State = rdev.StateRunning })
	wantIDs(t, renew(t, s, "a", id), id)
	update(t, s, id, func(c *rdev.Command) { c.State = rdev.StateSucceeded })
	wantIDs(t, renew(t, s, "a", id))
}

func releaseFrees(t *testing.T, s LeasedCommands) {
	released, kept := insertOwned(t, s, 1, "a"), insertOwned(t, s, 2, "a")
	if err := s.Release(ctx(t), "a", []string{released, "cmd-unknown"}); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, claim(t, s, "b", 10), released)
	wantIDs(t, renew(t, s, "a", released, kept), kept)
}

func onlyOwnerReleases(t *testing.T, s LeasedCommands) {
	id := insertOwned(t, s, 1, "a")
	if err := s.Release(ctx(t), "b", []string{id}); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, claim(t, s, "b", 10))
}

func leaseIsNoGuard(t *testing.T, s LeasedCommands) {
	id := insertOwned(t, s, 1, "a")
	update(t, s, id, func(c *rdev.Command) { c.State = rdev.StateRunning })
	wantIDs(t, claim(t, s, "b", 10))
	wantIDs(t, renew(t, s, "a", id), id)
}
