package authtest

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
)

func updateStores(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	create(t, s, key(2))
	wanted := key(1)
	wanted.Name = "another name"
	wanted.Scopes = []auth.Scope{auth.ScopeKeysRead}
	wanted.Projects = []auth.Pattern{auth.AllProjects}
	wanted.ExpiresAt = moment().Add(time.Hour)
	wanted.RevokedAt = moment().Add(2 * time.Hour)
	wanted.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	wanted.Hash, wanted.Algorithm = key(9).Hash, "hmac-sha256:2026"
	updated, err := s.Update(ctx(t), wanted.ID, func(k *auth.Key) error {
		k.Name, k.Scopes, k.Projects = wanted.Name, wanted.Scopes, wanted.Projects
		k.ExpiresAt, k.RevokedAt, k.AllowedAddresses = wanted.ExpiresAt, wanted.RevokedAt, wanted.AllowedAddresses
		k.Hash, k.Algorithm = wanted.Hash, wanted.Algorithm
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, updated, wanted)
	want(t, get(t, s, wanted.ID), wanted)
	want(t, get(t, s, key(2).ID), key(2))
}

func updateKeeps(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	updated, err := s.Update(ctx(t), key(1).ID, func(k *auth.Key) error {
		k.ID, k.Hash, k.CreatedAt = "other0000000", key(2).Hash, moment().Add(time.Hour)
		k.LastUsedAt, k.Replaces = moment().Add(time.Hour), "other0000000"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, updated, key(1))
	want(t, get(t, s, key(1).ID), key(1))
}

func updateFails(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	sentinel := errors.New("no")
	_, err := s.Update(ctx(t), key(1).ID, func(k *auth.Key) error {
		k.Name = "spoilt"
		spoil(*k)
		return sentinel
	})
	if err != sentinel { //nolint:errorlint // the contract says: as it is
		t.Fatalf("Update: %v, want the error of change as it is", err)
	}
	want(t, get(t, s, key(1).ID), key(1))
}

func concurrentUpdates(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	const writers, each = 8, 10
	failures := make(chan error, writers*each)
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				_, err := s.Update(ctx(t), key(1).ID, func(k *auth.Key) error {
					k.Name += "+"
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
	if got, wanted := len(get(t, s, key(1).ID).Name), len(key(1).Name)+writers*each; got != wanted {
		t.Fatalf("%d updates were lost", wanted-got)
	}
}

func revokedKeys(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	revoke(t, s, key(1).ID)
	wanted := key(1)
	wanted.RevokedAt = moment()
	want(t, get(t, s, key(1).ID), wanted)
}

func revoke(t *testing.T, s auth.KeyStore, id string) {
	t.Helper()
	_, err := s.Update(ctx(t), id, func(k *auth.Key) error {
		k.RevokedAt = moment()
		return nil
	})
	if err != nil {
		t.Fatalf("Update(%s): %v", id, err)
	}
}

func rotationMarks(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	until := moment().Add(time.Hour)
	if err := s.Create(ctx(t), key(2), &auth.Replacement{ID: key(1).ID, Until: until}); err != nil {
		t.Fatal(err)
	}
	wanted := key(1)
	wanted.ReplacedBy, wanted.ExpiresAt = key(2).ID, until
	want(t, get(t, s, key(1).ID), wanted)
	successor := key(2)
	successor.Replaces = key(1).ID
	want(t, get(t, s, key(2).ID), successor)

	endless := key(3)
	endless.ExpiresAt = time.Time{}
	create(t, s, endless)
	if err := s.Create(ctx(t), key(4), &auth.Replacement{ID: endless.ID, Until: until}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, endless.ID).ExpiresAt; !got.Equal(until) {
		t.Fatalf("a key without end expires at %v after its rotation, want %v", got, until)
	}
}

func rotationNeverExtends(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	late := key(1).ExpiresAt.Add(time.Hour)
	if err := s.Create(ctx(t), key(2), &auth.Replacement{ID: key(1).ID, Until: late}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, key(1).ID).ExpiresAt; !got.Equal(key(1).ExpiresAt) {
		t.Fatalf("the predecessor expires at %v, want %v as before", got, key(1).ExpiresAt)
	}
}

func rotationIsOne(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	create(t, s, key(2))
	// The id of the successor is taken, so the predecessor stays as it was.
	err := s.Create(ctx(t), key(2), &auth.Replacement{ID: key(1).ID, Until: moment()})
	if !errors.Is(err, auth.ErrKeyExists) {
		t.Fatalf("Create: %v, want ErrKeyExists", err)
	}
	want(t, get(t, s, key(1).ID), key(1))
	// There is no predecessor, so there is no successor.
	err = s.Create(ctx(t), key(3), &auth.Replacement{ID: "unknown00000", Until: moment()})
	if !errors.Is(err, auth.ErrKeyNotFound) {
		t.Fatalf("Create: %v, want ErrKeyNotFound", err)
	}
	if _, err := s.Get(ctx(t), key(3).ID); !errors.Is(err, auth.ErrKeyNotFound) {
		t.Fatalf("Get of the successor: %v, want ErrKeyNotFound", err)
	}
}

func twoRotations(t *testing.T, s auth.KeyStore) {
	create(t, s, key(0))
	const rotations = 4
	errs := make([]error, rotations)
	var wait sync.WaitGroup
	for n := range rotations {
		wait.Go(func() {
			errs[n] = s.Create(ctx(t), key(n+1), &auth.Replacement{ID: key(0).ID, Until: moment()})
		})
	}
	wait.Wait()
	winner := ""
	for n, err := range errs {
		switch {
		case err == nil && winner != "":
			t.Fatalf("both %s and %s replaced the key", winner, key(n+1).ID)
		case err == nil:
			winner = key(n + 1).ID
		case !errors.Is(err, auth.ErrKeyReplaced):
			t.Fatalf("a rotation that lost: %v, want ErrKeyReplaced", err)
		}
	}
	if got := get(t, s, key(0).ID).ReplacedBy; got != winner || winner == "" {
		t.Fatalf("the key says that %q replaced it, want %q", got, winner)
	}
	if got := listed(t, s, 10); len(got) != 2 {
		t.Fatalf("the store holds %s, want the key and one successor", fmt.Sprint(got))
	}
}

func revokedHasNoSuccessor(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	revoke(t, s, key(1).ID)
	err := s.Create(ctx(t), key(2), &auth.Replacement{ID: key(1).ID, Until: moment()})
	if !errors.Is(err, auth.ErrKeyRevoked) {
		t.Fatalf("Create: %v, want ErrKeyRevoked", err)
	}
	if _, err := s.Get(ctx(t), key(2).ID); !errors.Is(err, auth.ErrKeyNotFound) {
		t.Fatalf("Get of the successor: %v, want ErrKeyNotFound", err)
	}
}

func onePredecessor(t *testing.T, s auth.KeyStore) {
	at := func(n int) time.Time { return key(n).CreatedAt }
	create(t, s, key(1))
	replace := func(old, next int, until time.Time) error {
		return s.Create(ctx(t), key(next), &auth.Replacement{ID: key(old).ID, Until: until})
	}
	if err := replace(1, 2, at(10)); err != nil {
		t.Fatal(err)
	}
	// 1 works until the tenth minute, so 2 may not work on beside 3.
	if err := replace(2, 3, at(20)); !errors.Is(err, auth.ErrPredecessorWorks) {
		t.Fatalf("a second predecessor that works: %v, want ErrPredecessorWorks", err)
	}
	if got := get(t, s, key(2).ID); got.ReplacedBy != "" || !got.ExpiresAt.Equal(key(2).ExpiresAt) {
		t.Fatalf("the refused rotation left its predecessor as %+v", got)
	}
	// At once it may be replaced: a key that leaked cannot wait.
	if err := replace(2, 3, at(3)); err != nil {
		t.Fatalf("a rotation without a grace period: %v", err)
	}
	// 1 is no direct predecessor of 3, and counts all the same.
	if err := replace(3, 4, at(20)); !errors.Is(err, auth.ErrPredecessorWorks) {
		t.Fatalf("a grandparent that works: %v, want ErrPredecessorWorks", err)
	}
	// In the tenth minute it has ended.
	if err := replace(3, 10, at(20)); err != nil {
		t.Fatalf("when the predecessor has ended: %v", err)
	}
	// A revoked one works no longer.
	if err := replace(10, 11, at(20)); !errors.Is(err, auth.ErrPredecessorWorks) {
		t.Fatalf("before the revocation: %v, want ErrPredecessorWorks", err)
	}
	revoke(t, s, key(3).ID)
	if err := replace(10, 11, at(20)); err != nil {
		t.Fatalf("when the predecessor was revoked: %v", err)
	}
}

func successorSays(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	next := key(2)
	next.Replaces = "made up 0000" // it is not the caller's to say
	if err := s.Create(ctx(t), next, &auth.Replacement{ID: key(1).ID, Until: moment()}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, next.ID).Replaces; got != key(1).ID {
		t.Fatalf("the successor replaces %q, want %q", got, key(1).ID)
	}
	alone := key(3)
	alone.Replaces = key(1).ID
	create(t, s, alone)
	if got := get(t, s, alone.ID).Replaces; got != "" {
		t.Fatalf("a key that replaces none says %q", got)
	}
}
