package authtest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
)

// What follows holds for stores that implement the optional interfaces.

func use(t *testing.T, s auth.KeyUses, last map[string]time.Time) {
	t.Helper()
	if err := s.Used(ctx(t), last); err != nil {
		t.Fatalf("Used: %v", err)
	}
}

func usesAreNoted(t *testing.T, s auth.KeyStore) {
	uses, ok := s.(auth.KeyUses)
	if !ok {
		return
	}
	created := key(1)
	created.LastUsedAt = moment() // not Create's to store
	create(t, s, created)
	create(t, s, key(2))
	want(t, get(t, s, key(1).ID), key(1))
	first, second := moment().Add(time.Hour), moment().Add(2*time.Hour+1)
	use(t, uses, map[string]time.Time{key(1).ID: first, key(2).ID: second})
	use(t, uses, map[string]time.Time{key(1).ID: second})
	wanted := []auth.Key{key(2), key(1)}
	for i := range wanted {
		wanted[i].LastUsedAt = second.Truncate(time.Microsecond)
		want(t, get(t, s, wanted[i].ID), wanted[i])
	}
	page, err := s.List(ctx(t), "", 10)
	if err != nil || len(page) != 2 {
		t.Fatalf("List: %d keys, %v", len(page), err)
	}
	for i := range wanted {
		want(t, page[i], wanted[i])
	}
	updated, err := s.Update(ctx(t), key(1).ID, func(*auth.Key) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	want(t, updated, wanted[1])
}

func earlierUse(t *testing.T, s auth.KeyStore) {
	uses, ok := s.(auth.KeyUses)
	if !ok {
		return
	}
	create(t, s, key(1))
	late := moment().Add(time.Hour)
	use(t, uses, map[string]time.Time{key(1).ID: late})
	use(t, uses, map[string]time.Time{key(1).ID: late.Add(-time.Minute)})
	if got := get(t, s, key(1).ID).LastUsedAt; !got.Equal(late) {
		t.Fatalf("last used at %v, want %v", got, late)
	}
}

func unknownUses(t *testing.T, s auth.KeyStore) {
	uses, ok := s.(auth.KeyUses)
	if !ok {
		return
	}
	create(t, s, key(1))
	use(t, uses, nil)
	use(t, uses, map[string]time.Time{"unknown00000": moment(), key(1).ID: moment()})
	if got := get(t, s, key(1).ID).LastUsedAt; !got.Equal(moment()) {
		t.Fatalf("last used at %v, want %v", got, moment())
	}
	late := key(2)
	late.ID = "unknown00000"
	create(t, s, late)
	if got := get(t, s, late.ID).LastUsedAt; !got.IsZero() {
		t.Fatalf("a new key was last used at %v", got)
	}
}

// heard notes what a store tells.
type heard struct {
	mu  sync.Mutex
	ids []string
	all bool
}

func (h *heard) changed(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, ids...)
	h.all = h.all || len(ids) == 0
}

func (h *heard) of(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all || slices.Contains(h.ids, id)
}

// waitFor waits until the change of a key was told.
func (h *heard) waitFor(t *testing.T, id string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !h.of(id); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody told that key %s was changed", id)
		}
	}
}

func changeIsTold(t *testing.T, s auth.KeyStore) {
	changes, ok := s.(auth.KeyChanges)
	if !ok {
		return
	}
	create(t, s, key(1))
	var one, two heard
	defer changes.OnChange(one.changed)()
	defer changes.OnChange(two.changed)()
	revoke(t, s, key(1).ID)
	one.waitFor(t, key(1).ID)
	two.waitFor(t, key(1).ID)
}

func rotationIsTold(t *testing.T, s auth.KeyStore) {
	changes, ok := s.(auth.KeyChanges)
	if !ok {
		return
	}
	create(t, s, key(1))
	var h heard
	defer changes.OnChange(h.changed)()
	if err := s.Create(ctx(t), key(2), &auth.Replacement{ID: key(1).ID, Until: moment()}); err != nil {
		t.Fatal(err)
	}
	h.waitFor(t, key(1).ID)
}

func stoppedIsNotTold(t *testing.T, s auth.KeyStore) {
	changes, ok := s.(auth.KeyChanges)
	if !ok {
		return
	}
	create(t, s, key(1))
	var stopped, stays heard
	stop := changes.OnChange(stopped.changed)
	defer changes.OnChange(stays.changed)()
	stop()
	revoke(t, s, key(1).ID)
	stays.waitFor(t, key(1).ID)
	if stopped.of(key(1).ID) {
		t.Fatal("it was told after stop had returned")
	}
}

func getAll(t *testing.T, s auth.KeyStore) {
	changes, ok := s.(auth.KeyChanges)
	if !ok {
		return
	}
	for n := range 4 {
		create(t, s, key(n))
	}
	if found, err := changes.GetAll(ctx(t), nil); err != nil || len(found) != 0 {
		t.Fatalf("GetAll of none: %d keys, %v", len(found), err)
	}
	found, err := changes.GetAll(ctx(t), []string{key(3).ID, "unknown00000", key(1).ID})
	if err != nil || len(found) != 2 {
		t.Fatalf("GetAll: %d keys, %v; want 2", len(found), err)
	}
	slices.SortFunc(found, func(a, b auth.Key) int { return a.CreatedAt.Compare(b.CreatedAt) })
	want(t, found[0], key(1))
	want(t, found[1], key(3))
}
