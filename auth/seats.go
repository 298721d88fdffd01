package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNoSeat: the key has as many as it may have, over all servers.
var ErrNoSeat = errors.New("auth: the key has no place left")

// SeatsConfig is what NewSeats needs.
type SeatsConfig struct {
	Store LimitStore // Required.
	// Most is how many places a key has. Required.
	Most int
	// TTL is how long the places of a server that died are taken. Defaults to
	// 10 s.
	TTL time.Duration
	// OnError is told when the store does not keep the places. It must not
	// block. Defaults to none.
	OnError func(error)
}

// Seats hold keys to a number of things at once, streams for example, over all
// servers that share a LimitStore. All methods are safe for concurrent use.
//
// A server holds its places in the store by a lease, which it renews every third
// of the TTL. A place that is given back is free on the same server at once, and
// on others by the next renewal. If the store does not answer for longer than
// the TTL, others may take the places meanwhile: what is open stays open.
type Seats struct {
	cfg    SeatsConfig
	holder string

	// keeping is held by Keep alone, and shared by those who Hold.
	keeping sync.RWMutex

	mu   sync.Mutex
	keys map[string]*seat
	open int           // over all keys
	idle chan struct{} // holds one: nothing is open any more
	done chan struct{} // of the goroutine that renews; nil while there is none
}

type seat struct {
	asking sync.Mutex // one question a key
	open   int        // under Seats.mu
	held   int        // in the store; at least open
}

// NewSeats returns Seats. There is a goroutine while a place is taken; Wait for
// it when all are given back.
func NewSeats(cfg SeatsConfig) *Seats {
	if cfg.TTL == 0 {
		cfg.TTL = 10 * time.Second
	}
	if cfg.OnError == nil {
		cfg.OnError = func(error) {}
	}
	return &Seats{cfg: cfg, holder: rand.Text(), keys: make(map[string]*seat), idle: make(chan struct{}, 1)}
}

// Most is how many places a key has.
func (s *Seats) Most() int { return s.cfg.Most }

// Take takes a place of a key. ErrNoSeat if there is none; any other error is
// the store's. release gives it back; calling it again does nothing.
func (s *Seats) Take(ctx context.Context, key string) (release func(), err error) {
	s.keeping.RLock()
	defer s.keeping.RUnlock()
	one := s.seat(key)
	one.asking.Lock()
	defer one.asking.Unlock()
	s.mu.Lock()
	open, held := one.open, one.held
	if open < held {
		s.opened(one)
		s.mu.Unlock()
		return s.releaser(one), nil
	}
	s.mu.Unlock()
	ok, err := s.cfg.Store.Hold(ctx, s.holder, key, open+1, s.cfg.Most, s.cfg.TTL)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !ok {
		err = ErrNoSeat
	}
	if err != nil {
		s.checkIdle()
		return nil, err
	}
	s.opened(one)
	one.held = open + 1
	return s.releaser(one), nil
}

// seat returns the entry of a key, and starts the renewal with the first.
func (s *Seats) seat(key string) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.keys[key]
	if one == nil {
		one = &seat{}
		s.keys[key] = one
	}
	if s.done == nil {
		s.done = make(chan struct{})
		go s.keep(s.done)
	}
	return one
}

// opened counts one more; Seats.mu is held.
func (s *Seats) opened(one *seat) {
	one.open++
	s.open++
}

func (s *Seats) releaser(one *seat) func() {
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		one.open--
		s.open--
		s.checkIdle()
	})
}

// checkIdle has the goroutine end soon if nothing is open; Seats.mu is held.
func (s *Seats) checkIdle() {
	if s.open > 0 {
		return
	}
	select {
	case s.idle <- struct{}{}:
	default:
	}
}

// Wait waits until the store knows that all places were given back, or until ctx
// ends. No place may be taken or open.
func (s *Seats) Wait(ctx context.Context) error {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keep renews until nothing is held.
func (s *Seats) keep(done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(s.cfg.TTL / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.idle:
		}
		if s.renew() {
			return
		}
	}
}

// renew tells the store what is open, and reports whether that is nothing.
func (s *Seats) renew() (none bool) {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	s.mu.Lock()
	held := make(map[string]int, len(s.keys))
	for key, one := range s.keys {
		if one.held = one.open; one.open == 0 {
			delete(s.keys, key) // nobody asks: keeping is held
			continue
		}
		held[key] = one.open
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.TTL)
	err := s.cfg.Store.Keep(ctx, s.holder, held, s.cfg.TTL)
	cancel()
	if err != nil {
		s.cfg.OnError(fmt.Errorf("auth: keep the places of streams: %w", err))
		return false
	}
	if len(held) > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = nil
	return true
}
