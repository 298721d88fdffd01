// Package rdevtest holds the contracts of the ports of package rdev as test
// suites. The names of the subtests are the contract's sentences.
package rdevtest

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// Commands tests the rdev.Commands that open returns, a fresh and empty one
// each time. open registers the cleanup of what it opens with t.Cleanup.
func Commands(t *testing.T, open func(t *testing.T) rdev.Commands) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s rdev.Commands)
	}{
		{"InsertThenGetReturnsTheSame", insertThenGet},
		{"ZeroTimesStayZero", zeroTimes},
		{"TimesAreKeptInUTCToTheMicrosecond", timesAreKept},
		{"AnyTextAndBytesAreKept", anyText},
		{"ATakenIDIsRefused", takenID},
		{"AnUnknownIDIsNotFound", unknownID},
		{"TheOwnerIsNotReadBack", ownerIsNotReadBack},
		{"StoredRecordsAreCopies", storedRecords},
		{"AnEndedContextIsAnError", endedContext},

		{"ARepeatedRequestReturnsTheFirst", repeatedRequest},
		{"WithoutAnIdempotencyKeyNothingIsRepeated", noIdempotencyKey},
		{"AnIdempotencyKeyIsOfOneKeyAndProject", idempotencyKeyIsScoped},
		{"AnIdempotencyKeyIsForgottenAfterItsTTL", idempotencyKeyExpires},
		{"OfConcurrentRequestsOneIsCreated", concurrentRequests},

		{"ListPagesNewestFirst", listPages},
		{"ListSelectsByEveryField", listSelects},

		{"BacklogTellsHowLongTheOldestIsQueued", backlogOfQueued},

		{"UpdateReturnsAndStoresTheChange", updateStores},
		{"UpdateKeepsWhatCannotChange", updateKeeps},
		{"AnErrorFromChangeChangesNothing", updateFails},
		{"OnlyAllowedTransitionsAreMade", onlyAllowedTransitions},
		{"AnEndedRecordDoesNotChange", endedRecord},
		{"AnEndedRecordLosesItsSecrets", endedRecordLosesSecrets},
		{"ConcurrentUpdatesAreSerialised", concurrentUpdates},
		{"OfTwoEndsOneLoses", twoEnds},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// moment is when the records of this suite are made.
func moment() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC) }

// command returns a queued record that uses every field that a new one has. A
// higher n is newer.
func command(n int) rdev.Command {
	id := fmt.Sprintf("cmd-01jnf000000000000000%06d", n)
	return rdev.Command{
		ID:        id,
		Project:   "api",
		Type:      policy.TypeShell,
		Policy:    policy.Permissive,
		Argv:      []string{"ls", "-la"},
		State:     rdev.StateQueued,
		KeyID:     "4fQ0aB7xYz12",
		From:      netip.MustParseAddr("2001:db8::7"),
		CreatedAt: moment().Add(time.Duration(n) * time.Second),

		RequestDigest: fmt.Sprintf("digest %d", n),
		RequestID:     fmt.Sprintf("request-%d", n),
		Trace:         rdev.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "vendor=1"},
		Spec: exec.Command{
			ID: id, Target: exec.Target{Name: "api", Instance: "pod-1"},
			Argv: []string{"ls", "-la"}, Env: map[string]string{"TOKEN": "t0p s3cret"},
			Dir: "src", Stdin: []byte("a prompt"),
			Timeout: time.Hour, Grace: 5 * time.Second, MaxOutput: 1 << 20,
		},
	}
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return bounded
}

func insert(t *testing.T, s rdev.Commands, c rdev.Command) {
	t.Helper()
	stored, created, err := s.Insert(ctx(t), c)
	if err != nil || !created {
		t.Fatalf("Insert(%s): created %t, %v", c.ID, created, err)
	}
	want(t, stored, c)
}

func get(t *testing.T, s rdev.Commands, id string) rdev.Command {
	t.Helper()
	c, err := s.Get(ctx(t), id)
	if err != nil {
		t.Fatalf("Get(%s): %v", id, err)
	}
	return c
}

func update(t *testing.T, s rdev.Commands, id string, change func(*rdev.Command)) rdev.Command {
	t.Helper()
	c, err := s.Update(ctx(t), id, func(c *rdev.Command) error {
		change(c)
		return nil
	})
	if err != nil {
		t.Fatalf("Update(%s): %v", id, err)
	}
	return c
}

func want(t *testing.T, got, wanted rdev.Command) {
	t.Helper()
	if !reflect.DeepEqual(got, wanted) {
		t.Fatalf("got the record\n%+v, want\n%+v\nresults %+v and %+v", got, wanted, got.Result, wanted.Result)
	}
}
