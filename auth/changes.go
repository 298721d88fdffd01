package auth

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Changes tells whoever wants to know of changed keys. It is the half of
// KeyChanges that is alike for all implementations. The zero value is ready.
type Changes struct {
	mu      sync.Mutex
	last    int
	hearers map[int]func([]string)
}

// OnChange is that of KeyChanges.
func (c *Changes) OnChange(changed func(ids []string)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hearers == nil {
		c.hearers = make(map[int]func([]string))
	}
	c.last++
	hearer := c.last
	c.hearers[hearer] = changed
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.hearers, hearer)
	}
}

// Tell tells that the keys with these ids were changed; without any, that keys
// may have been changed and nobody knows which.
func (c *Changes) Tell(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, changed := range c.hearers {
		changed(ids)
	}
}

// OnChange is KeyChanges.OnChange of the store, as far as it has that: else
// nobody is told, and who depends on changes has to ask now and then.
func OnChange(keys KeyStore, changed func(ids []string)) (stop func()) {
	if changes, ok := keys.(KeyChanges); ok {
		return changes.OnChange(changed)
	}
	return func() {}
}

// GetAll is KeyChanges.GetAll of the store, or Get for each.
func GetAll(ctx context.Context, keys KeyStore, ids []string) ([]Key, error) {
	if changes, ok := keys.(KeyChanges); ok {
		return changes.GetAll(ctx, ids)
	}
	var found []Key
	for _, id := range ids {
		key, err := keys.Get(ctx, id)
		switch {
		case errors.Is(err, ErrKeyNotFound):
		case err != nil:
			return nil, err
		default:
			found = append(found, key)
		}
	}
	return found, nil
}

// Used is KeyUses.Used of the store, as far as it keeps that.
func Used(ctx context.Context, keys KeyStore, last map[string]time.Time) error {
	if uses, ok := keys.(KeyUses); ok {
		return uses.Used(ctx, last)
	}
	return nil
}
