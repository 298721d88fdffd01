package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

func (f *fixture) lastUsed(t *testing.T) time.Time {
	t.Helper()
	key, err := f.store.KeyStore.Get(t.Context(), f.id)
	is.New(t).NoErr(err)
	return key.LastUsedAt
}

func TestUsesAreWrittenInBatches(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	for n := range 1000 {
		f.set(start().Add(time.Duration(n) * time.Millisecond))
		_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
		is.NoErr(err)
	}
	is.Equal(f.store.uses.Load(), int64(0))
	is.NoErr(f.Flush(t.Context()))
	is.NoErr(f.Flush(t.Context()))
	is.Equal(f.store.uses.Load(), int64(1))
	is.Equal(f.lastUsed(t), start().Add(999*time.Millisecond))

	// Within 30 s of what is stored nothing is written, and nothing forgotten.
	later := start().Add(20 * time.Second)
	f.set(later)
	_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err)
	is.NoErr(f.Flush(t.Context()))
	is.Equal(f.store.uses.Load(), int64(1))
	f.set(start().Add(31 * time.Second))
	is.NoErr(f.Flush(t.Context()))
	is.Equal(f.lastUsed(t), later)
}

func TestCloseWritesTheLastUse(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err)
	is.NoErr(f.Flush(t.Context()))
	f.set(start().Add(time.Second))
	_, err = f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err)
	is.NoErr(f.Close(t.Context()))
	is.Equal(f.lastUsed(t), start().Add(time.Second))
	is.NoErr(f.Close(t.Context()))
	_, err = f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err) // works after Close, unnoted
	is.Equal(f.store.uses.Load(), int64(2))
}

func TestAUseThatCouldNotBeWrittenIsKept(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err)
	broken := errors.New("the disk is full")
	f.store.fail.Store(&broken)
	is.True(errors.Is(f.Flush(t.Context()), broken))
	f.store.fail.Store(nil)
	is.NoErr(f.Flush(t.Context()))
	is.Equal(f.lastUsed(t), start())
}

func TestAnEndedContextStopsAFlush(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	is.True(errors.Is(f.Flush(ended), context.Canceled))
	is.NoErr(f.Flush(t.Context()))
	is.Equal(f.lastUsed(t), start())
}

func TestUsesAreFlushedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		f := newFixture(t, func(k *auth.Key) { k.ExpiresAt = time.Time{} })
		_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
		is.NoErr(err)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		is.Equal(f.lastUsed(t), start())
		is.NoErr(f.Close(t.Context()))
	})
}
