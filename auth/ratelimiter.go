package auth

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	// leaseTime is how long requests that were taken out of the store ahead of
	// their use can be used.
	leaseTime = time.Second
	// leaseShare is the part of a burst that may be taken ahead.
	leaseShare = 16
	// takeTimeout is how long the store has for an answer.
	takeTimeout = 5 * time.Second
	// idleBuckets is how many keys are remembered without looking for idle ones.
	idleBuckets = 1024
)

// A RateLimiter holds keys to a Rate over all servers that share a LimitStore.
// All methods are safe for concurrent use.
//
// It asks the store less than once a request: those that wait for an answer of
// the store ask together, the requests of a busy key are taken some ahead, a
// sixteenth of the burst at most, and a key that the store has refused is
// refused here until the store would not. What is taken ahead and not used
// within a second is lost to the key. So however many servers there are, in any
// time t a key gets at most Burst + (t + 1 s)/Interval.
type RateLimiter struct {
	store LimitStore
	rate  Rate

	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time
}

// bucket is what is known of one key. What is below turn belongs to who holds it.
type bucket struct {
	waiters int // under RateLimiter.mu: callers that have, or wait for, the turn
	turn    chan struct{}

	ahead   int       // taken and not used
	expires time.Time // when they are lost
	batch   int       // how many were taken ahead last
	refused time.Time // until when the store refuses
	left    int       // as the store said at
	asked   time.Time
	whole   time.Duration
	failure error     // of the store
	failed  time.Time // when
}

// NewRateLimiter returns a RateLimiter. The rate must be a limit.
func NewRateLimiter(store LimitStore, rate Rate) *RateLimiter {
	return &RateLimiter{store: store, rate: rate, buckets: make(map[string]*bucket)}
}

// Rate returns what keys are held to.
func (l *RateLimiter) Rate() Rate { return l.rate }

// An Allowance is the answer of a RateLimiter.
type Allowance struct {
	OK         bool
	Left       int           // how many more may come now
	Whole      time.Duration // until Left is the whole burst
	RetryAfter time.Duration // until the next may come, if not OK
}

// Allow takes one request of a key. An error is the store's, as it came, or that
// of ctx, whose end ends the waiting for other requests of the key. A question to
// the store goes on then: it is for all of them.
func (l *RateLimiter) Allow(ctx context.Context, key string) (Allowance, error) {
	arrived := time.Now()
	b := l.enter(key)
	defer l.leave(b)
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return Allowance{}, ctx.Err()
	}
	now := time.Now()
	if !now.Before(b.expires) {
		b.ahead, b.batch = 0, 0 // what is left over shows that it was too much
	}
	switch {
	case b.ahead > 0:
		b.ahead--
		return b.allowance(now, true), nil
	case now.Before(b.refused):
		return b.allowance(now, false), nil
	case b.failure != nil && arrived.Before(b.failed):
		return Allowance{}, b.failure // it was asked for this one too
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeTimeout)
	taken, err := l.store.Take(asking, key, l.rate, l.want(b))
	cancel()
	if b.failure = err; err != nil {
		b.failed = time.Now()
		return Allowance{}, err
	}
	b.asked, b.left, b.whole = now, taken.Left, taken.Whole
	if taken.N == 0 {
		b.refused = now.Add(taken.Next)
		return b.allowance(now, false), nil
	}
	b.ahead, b.expires = taken.N-1, now.Add(leaseTime)
	return b.allowance(now, true), nil
}

// want is how many requests to ask the store for: one for each that waits, and
// for a key that used up what it had more and more ahead.
func (l *RateLimiter) want(b *bucket) int {
	most := l.rate.Burst / leaseShare
	if time.Since(b.asked) < leaseTime {
		b.batch = min(2*b.batch+1, most)
	} else {
		b.batch = 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return b.waiters + b.batch
}

func (b *bucket) allowance(now time.Time, ok bool) Allowance {
	a := Allowance{OK: ok, Left: b.left + b.ahead, Whole: max(b.whole-now.Sub(b.asked), 0)}
	if !ok {
		a.Left, a.RetryAfter = 0, max(b.refused.Sub(now), 0)
	}
	return a
}

func (l *RateLimiter) enter(key string) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		l.sweep()
		b = &bucket{turn: make(chan struct{}, 1)}
		l.buckets[key] = b
	}
	b.waiters++
	return b
}

func (l *RateLimiter) leave(b *bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.waiters--
}

// sweep forgets the keys of which nothing is worth knowing.
func (l *RateLimiter) sweep() {
	now := time.Now()
	if len(l.buckets) < idleBuckets || now.Sub(l.swept) < leaseTime {
		return
	}
	l.swept = now
	maps.DeleteFunc(l.buckets, func(_ string, b *bucket) bool {
		return b.waiters == 0 && now.After(b.expires) && now.After(b.refused)
	})
}
