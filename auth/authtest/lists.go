package authtest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
)

func listPages(t *testing.T, s auth.KeyStore) {
	const keys = 7
	var wanted []string
	for n := range keys {
		create(t, s, key(n))
		wanted = append(wanted, key(n).ID)
	}
	slices.Reverse(wanted)
	for limit := 1; limit <= keys+1; limit++ {
		if got := listed(t, s, limit); !slices.Equal(got, wanted) {
			t.Fatalf("pages of %d: got %v, want %v", limit, got, wanted)
		}
	}
}

func listOfOneMoment(t *testing.T, s auth.KeyStore) {
	var wanted []string
	for _, n := range []int{3, 1, 4, 2, 5} {
		k := key(n)
		k.CreatedAt = moment()
		create(t, s, k)
		wanted = append(wanted, k.ID)
	}
	slices.Sort(wanted)
	slices.Reverse(wanted)
	if got := listed(t, s, 2); !slices.Equal(got, wanted) {
		t.Fatalf("got %v, want %v", got, wanted)
	}
}

func listBeforeUnknown(t *testing.T, s auth.KeyStore) {
	create(t, s, key(1))
	if _, err := s.List(ctx(t), "unknown00000", 10); !errors.Is(err, auth.ErrKeyNotFound) {
		t.Fatalf("List: %v, want ErrKeyNotFound", err)
	}
}

func listReturnsAll(t *testing.T, s auth.KeyStore) {
	expired, revoked := key(1), key(2)
	expired.ExpiresAt = expired.CreatedAt.Add(time.Second)
	create(t, s, expired)
	create(t, s, revoked)
	revoke(t, s, revoked.ID)
	if got, wanted := listed(t, s, 10), []string{revoked.ID, expired.ID}; !slices.Equal(got, wanted) {
		t.Fatalf("got %v, want %v", got, wanted)
	}
}

// listed returns the ids of all keys, read in pages.
func listed(t *testing.T, s auth.KeyStore, limit int) []string {
	t.Helper()
	var ids []string
	before := ""
	for {
		page, err := s.List(ctx(t), before, limit)
		if err != nil {
			t.Fatalf("List(%q, %d): %v", before, limit, err)
		}
		if len(page) > limit {
			t.Fatalf("List(%q, %d) returned %d keys", before, limit, len(page))
		}
		for _, k := range page {
			ids = append(ids, k.ID)
		}
		if len(page) == 0 {
			return ids
		}
		before = page[len(page)-1].ID
	}
}
