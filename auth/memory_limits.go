package auth

import (
	"context"
	"maps"
	"sync"
	"time"
)

// MemoryLimits is a LimitStore that forgets everything when the process ends.
// The zero value is ready.
type MemoryLimits struct {
	mu      sync.Mutex
	full    map[string]time.Time // by key: when its burst is whole
	swept   time.Time
	holders map[string]map[string]holding // by key and holder
}

type holding struct {
	n     int
	until time.Time
}

var _ LimitStore = (*MemoryLimits)(nil)

// Take implements LimitStore.
func (m *MemoryLimits) Take(ctx context.Context, key string, rate Rate, n int) (Taken, error) {
	if err := ctx.Err(); err != nil {
		return Taken{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.full == nil {
		m.full = make(map[string]time.Time)
	}
	if now.Sub(m.swept) > time.Minute { // who is whole needs no entry
		maps.DeleteFunc(m.full, func(_ string, full time.Time) bool { return full.Before(now) })
		m.swept = now
	}
	full, taken := rate.Take(m.full[key], now, n)
	m.full[key] = full
	return taken, nil
}

// Hold implements LimitStore.
func (m *MemoryLimits) Hold(ctx context.Context, holder, key string, n, most int, ttl time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	all := n
	for other, h := range m.holders[key] {
		if other != holder && now.Before(h.until) {
			all += h.n
		}
	}
	if all > most {
		return false, nil
	}
	m.hold(holder, key, holding{n, now.Add(ttl)})
	return true, nil
}

// Keep implements LimitStore.
func (m *MemoryLimits) Keep(ctx context.Context, holder string, held map[string]int, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for key, holders := range m.holders {
		maps.DeleteFunc(holders, func(other string, h holding) bool { return other == holder || !now.Before(h.until) })
		if len(holders) == 0 {
			delete(m.holders, key)
		}
	}
	for key, n := range held {
		m.hold(holder, key, holding{n, now.Add(ttl)})
	}
	return nil
}

func (m *MemoryLimits) hold(holder, key string, h holding) {
	if m.holders == nil {
		m.holders = make(map[string]map[string]holding)
	}
	if m.holders[key] == nil {
		m.holders[key] = make(map[string]holding)
	}
	m.holders[key][holder] = h
}
