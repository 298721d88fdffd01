package auth

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Memory is a KeyStore that forgets everything when the process ends.
type Memory struct {
	changes Changes
	mu      sync.RWMutex
	keys    map[string]Key
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{keys: map[string]Key{}} }

var (
	_ KeyStore   = (*Memory)(nil)
	_ KeyUses    = (*Memory)(nil)
	_ KeyChanges = (*Memory)(nil)
)

// Create implements KeyStore.
func (m *Memory) Create(ctx context.Context, key Key, replaces *Replacement) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.create(NewKeyRecord(key, replaces), replaces); err != nil {
		return err
	}
	if replaces != nil {
		m.changes.Tell(replaces.ID)
	}
	return nil
}

func (m *Memory) create(key Key, replaces *Replacement) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.keys[key.ID]; taken {
		return fmt.Errorf("auth: create key %s: %w", key.ID, ErrKeyExists)
	}
	if replaces != nil {
		old, known := m.keys[replaces.ID]
		if !known {
			return fmt.Errorf("auth: replace key %s: %w", replaces.ID, ErrKeyNotFound)
		}
		old, err := ReplaceKey(old, key, replaces.Until, m.predecessorWorks(old, key.CreatedAt))
		if err != nil {
			return fmt.Errorf("auth: replace key %s: %w", replaces.ID, err)
		}
		m.keys[old.ID] = stored(old)
	}
	m.keys[key.ID] = stored(key)
	return nil
}

func (m *Memory) predecessorWorks(key Key, now time.Time) bool {
	for key.Replaces != "" {
		if key = m.keys[key.Replaces]; key.WorksAt(now) {
			return true
		}
	}
	return false
}

// Get implements KeyStore.
func (m *Memory) Get(ctx context.Context, id string) (Key, error) {
	if err := ctx.Err(); err != nil {
		return Key{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	key, known := m.keys[id]
	if !known {
		return Key{}, fmt.Errorf("auth: get key %s: %w", id, ErrKeyNotFound)
	}
	return key.clone(), nil
}

// List implements KeyStore.
func (m *Memory) List(ctx context.Context, before string, limit int) ([]Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	cursor, known := m.keys[before]
	if before != "" && !known {
		return nil, fmt.Errorf("auth: list keys before %s: %w", before, ErrKeyNotFound)
	}
	var page []Key
	for _, key := range m.keys {
		if before == "" || newestFirst(cursor, key) < 0 {
			page = append(page, key.clone())
		}
	}
	slices.SortFunc(page, newestFirst)
	return page[:min(len(page), max(limit, 0))], nil
}

// Update implements KeyStore.
func (m *Memory) Update(ctx context.Context, id string, change func(*Key) error) (Key, error) {
	if err := ctx.Err(); err != nil {
		return Key{}, err
	}
	after, err := m.update(id, change)
	if err != nil {
		return Key{}, err
	}
	m.changes.Tell(id)
	return after, nil
}

func (m *Memory) update(id string, change func(*Key) error) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.keys[id]
	if !known {
		return Key{}, fmt.Errorf("auth: update key %s: %w", id, ErrKeyNotFound)
	}
	after := before.clone()
	if err := change(&after); err != nil {
		return Key{}, err
	}
	after = stored(UpdateKey(before, after))
	m.keys[id] = after
	return after.clone(), nil
}

// OnChange implements KeyChanges.
func (m *Memory) OnChange(changed func(ids []string)) (stop func()) {
	return m.changes.OnChange(changed)
}

// GetAll implements KeyChanges.
func (m *Memory) GetAll(ctx context.Context, ids []string) ([]Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []Key
	for _, id := range ids {
		if key, known := m.keys[id]; known {
			found = append(found, key.clone())
		}
	}
	return found, nil
}

// Used implements KeyUses.
func (m *Memory) Used(ctx context.Context, last map[string]time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, at := range last {
		if key, known := m.keys[id]; known && key.LastUsedAt.Before(at) {
			key.LastUsedAt = at
			m.keys[id] = stored(key)
		}
	}
	return nil
}

// newestFirst orders keys as List does.
func newestFirst(a, b Key) int {
	return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
}

// stored returns the key as a store keeps it: with slices of its own and times
// in UTC to the microsecond.
func stored(key Key) Key {
	key = key.clone()
	for _, t := range []*time.Time{&key.CreatedAt, &key.ExpiresAt, &key.RevokedAt, &key.LastUsedAt} {
		*t = t.UTC().Truncate(time.Microsecond)
	}
	return key
}

func (k Key) clone() Key {
	k.Hash, k.Scopes, k.Projects = slices.Clone(k.Hash), slices.Clone(k.Scopes), slices.Clone(k.Projects)
	k.AllowedAddresses = slices.Clone(k.AllowedAddresses)
	return k
}
