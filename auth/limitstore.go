package auth

import (
	"context"
	"time"
)

// A LimitStore counts what keys use, for all servers that share it. Its contract
// suite is authtest.Limits.
//
// All methods are safe for concurrent use. Times are those of the store's clock.
type LimitStore interface {
	// Take takes up to n requests, at least 1, out of what a key has left under
	// the rate. Taken.N is zero if nothing is left; that is no error.
	Take(ctx context.Context, key string, rate Rate, n int) (Taken, error)
	// Hold makes holder hold n places of a key, in place of those that it held,
	// for ttl. If those of the other holders and n together are above most, ok
	// is false and nothing is changed.
	Hold(ctx context.Context, holder, key string, n, most int, ttl time.Duration) (ok bool, err error)
	// Keep says what holder holds, for ttl from now on: the places of these
	// keys, above zero, and none of others. It asks for no limit.
	Keep(ctx context.Context, holder string, held map[string]int, ttl time.Duration) error
}
