// Package authtest is the contract of auth.KeyStore as a test suite. The names
// of its subtests are the contract's sentences.
package authtest

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
)

// Run tests the KeyStores that open returns, a fresh and empty one each time.
// open registers the cleanup of what it opens with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) auth.KeyStore) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s auth.KeyStore)
	}{
		{"CreateThenGetReturnsTheSame", createThenGet},
		{"ZeroTimesStayZero", zeroTimes},
		{"TimesAreKeptInUTCToTheMicrosecond", timesAreKept},
		{"AnyTextIsKept", anyText},
		{"ATakenIDIsRefused", takenID},
		{"AnUnknownIDIsNotFound", unknownID},
		{"StoredSlicesAreCopies", storedSlices},
		{"ReturnedSlicesAreCopies", returnedSlices},

		{"ListPagesNewestFirst", listPages},
		{"ListOrdersKeysOfOneMomentByID", listOfOneMoment},
		{"ListBeforeAnUnknownKeyIsNotFound", listBeforeUnknown},
		{"ListReturnsRevokedAndExpiredKeys", listReturnsAll},

		{"UpdateReturnsAndStoresTheChange", updateStores},
		{"UpdateKeepsWhatCannotChange", updateKeeps},
		{"AnErrorFromChangeChangesNothing", updateFails},
		{"ConcurrentUpdatesAreSerialised", concurrentUpdates},
		{"RevokedKeysAreReturned", revokedKeys},

		{"RotationMarksThePredecessor", rotationMarks},
		{"RotationNeverExtendsThePredecessor", rotationNeverExtends},
		{"RotationIsOneTransaction", rotationIsOne},
		{"OfTwoRotationsOneLoses", twoRotations},
		{"ARevokedKeyHasNoSuccessor", revokedHasNoSuccessor},
		{"OnePredecessorWorksAtMost", onePredecessor},
		{"ASuccessorSaysWhatItReplaces", successorSays},

		{"UseIsNotedBesideTheKey", usesAreNoted},
		{"AnEarlierUseChangesNothing", earlierUse},
		{"UsesOfUnknownKeysArePassedOver", unknownUses},

		{"AChangeIsTold", changeIsTold},
		{"ARotationTellsOfThePredecessor", rotationIsTold},
		{"NobodyIsToldAfterStop", stoppedIsNotTold},
		{"GetAllReturnsThoseThereAre", getAll},

		{"AnEndedContextIsAnError", endedContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// moment is when the keys of this suite are made.
func moment() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC) }

// key returns a key that uses every field that a new one has.
func key(n int) auth.Key {
	return auth.Key{
		ID:        fmt.Sprintf("key%09d", n),
		Name:      fmt.Sprintf("key number %d", n),
		Hash:      auth.HashSecret(auth.NewSecret(fmt.Sprint("secret of ", n))),
		Scopes:    []auth.Scope{auth.ScopeCommandsGit, auth.ScopeStreamsRead},
		Projects:  []auth.Pattern{"api", "team-a-*"},
		Policy:    "strict",
		CreatedAt: moment().Add(time.Duration(n) * time.Minute),
		CreatedBy: auth.AdminID,
		ExpiresAt: moment().Add(240 * time.Hour),

		Algorithm:        auth.AlgorithmSHA256,
		AllowedAddresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::7/128")},
	}
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return bounded
}

func create(t *testing.T, s auth.KeyStore, k auth.Key) {
	t.Helper()
	if err := s.Create(ctx(t), k, nil); err != nil {
		t.Fatalf("Create(%s): %v", k.ID, err)
	}
}

func get(t *testing.T, s auth.KeyStore, id string) auth.Key {
	t.Helper()
	k, err := s.Get(ctx(t), id)
	if err != nil {
		t.Fatalf("Get(%s): %v", id, err)
	}
	return k
}

// want compares keys; it prints no hash.
func want(t *testing.T, got, wanted auth.Key) {
	t.Helper()
	if reflect.DeepEqual(got, wanted) {
		return
	}
	if !reflect.DeepEqual(got.Hash, wanted.Hash) {
		t.Errorf("key %s has another hash", got.ID)
	}
	got.Hash, wanted.Hash = nil, nil
	t.Fatalf("got the key\n%+v, want\n%+v", got, wanted)
}
