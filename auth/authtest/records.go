package authtest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
)

func createThenGet(t *testing.T, s auth.KeyStore) {
	for n := range 3 {
		create(t, s, key(n))
	}
	for n := range 3 {
		want(t, get(t, s, key(n).ID), key(n))
	}
}

func zeroTimes(t *testing.T, s auth.KeyStore) {
	k := key(1)
	k.ExpiresAt, k.AllowedAddresses = time.Time{}, nil
	create(t, s, k)
	got := get(t, s, k.ID)
	if !got.ExpiresAt.IsZero() || !got.RevokedAt.IsZero() || !got.LastUsedAt.IsZero() {
		t.Fatalf("got expires %v, revoked %v, last used %v, want zero times", got.ExpiresAt, got.RevokedAt, got.LastUsedAt)
	}
	want(t, got, k)
}

func timesAreKept(t *testing.T, s auth.KeyStore) {
	k := key(1)
	exact := k.ExpiresAt
	k.ExpiresAt = exact.Add(999).In(time.FixedZone("elsewhere", 5*3600))
	create(t, s, k)
	got := get(t, s, k.ID).ExpiresAt
	if got != exact {
		t.Fatalf("got %v, want %v", got, exact)
	}
}

func anyText(t *testing.T, s auth.KeyStore) {
	k := key(1)
	k.Name = "Robert'); DROP TABLE keys;-- \"é\" 世界 %s $1 ?"
	create(t, s, k)
	want(t, get(t, s, k.ID), k)
}

func takenID(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	other := key(2)
	other.ID = key(1).ID
	if err := s.Create(ctx(t), other, nil); !errors.Is(err, auth.ErrKeyExists) {
		t.Fatalf("Create of a taken id: %v, want ErrKeyExists", err)
	}
	want(t, get(t, s, key(1).ID), key(1))
}

func unknownID(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	if _, err := s.Get(ctx(t), "unknown00000"); !errors.Is(err, auth.ErrKeyNotFound) {
		t.Fatalf("Get: %v, want ErrKeyNotFound", err)
	}
	_, err := s.Update(ctx(t), "unknown00000", func(*auth.Key) error {
		t.Error("change was called")
		return nil
	})
	if !errors.Is(err, auth.ErrKeyNotFound) {
		t.Fatalf("Update: %v, want ErrKeyNotFound", err)
	}
	err = s.Create(ctx(t), key(2), &auth.Replacement{ID: "unknown00000", Until: moment()})
	if !errors.Is(err, auth.ErrKeyNotFound) {
		t.Fatalf("Create with an unknown predecessor: %v, want ErrKeyNotFound", err)
	}
}

func storedSlices(t *testing.T, s auth.KeyStore) {
	k := key(1)
	create(t, s, k)
	spoil(k)
	want(t, get(t, s, k.ID), key(1))

	var kept auth.Key
	_, err := s.Update(ctx(t), k.ID, func(k *auth.Key) error {
		kept = *k
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	spoil(kept)
	want(t, get(t, s, k.ID), key(1))
}

func returnedSlices(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	spoil(get(t, s, key(1).ID))
	page, err := s.List(ctx(t), "", 1)
	if err != nil || len(page) != 1 {
		t.Fatalf("List: %d keys, %v", len(page), err)
	}
	spoil(page[0])
	updated, err := s.Update(ctx(t), key(1).ID, func(*auth.Key) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	spoil(updated)
	want(t, get(t, s, key(1).ID), key(1))
}

// spoil overwrites what the slices of k point to.
func spoil(k auth.Key) {
	k.Hash[0]++
	k.Scopes[0] = "spoilt"
	k.Projects[0] = "spoilt"
	k.AllowedAddresses[0] = netip.Prefix{}
}

func endedContext(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	ended, cancel := context.WithCancel(ctx(t))
	cancel()
	if err := s.Create(ended, key(2), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Create: %v, want context.Canceled", err)
	}
	if _, err := s.Get(ended, key(1).ID); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v, want context.Canceled", err)
	}
	if _, err := s.List(ended, "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v, want context.Canceled", err)
	}
	if _, err := s.Update(ended, key(1).ID, func(*auth.Key) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v, want context.Canceled", err)
	}
}
