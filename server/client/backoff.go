package client

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 50 * time.Millisecond
	backoffMost  = 10 * time.Second
)

// A backoff is the waiting time between attempts: it doubles, and is random
// between zero and that, so that clients that lost the server together do not
// come back together. The zero value is the first.
type backoff struct{ limit time.Duration }

func (b *backoff) next() time.Duration {
	b.limit = min(max(2*b.limit, backoffFirst), backoffMost)
	return rand.N(b.limit)
}

func (b *backoff) reset() { b.limit = 0 }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
