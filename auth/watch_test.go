package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

// quiet is a store that tells of no changes, and can be out of reach.
type quiet struct {
	auth.KeyStore
	mu   sync.Mutex
	gone bool
	asks int
}

func (q *quiet) Get(ctx context.Context, id string) (auth.Key, error) {
	q.mu.Lock()
	q.asks++
	gone := q.gone
	q.mu.Unlock()
	if gone {
		<-ctx.Done()
		return auth.Key{}, ctx.Err()
	}
	return q.KeyStore.Get(ctx, id)
}

func (q *quiet) setGone(gone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone = gone
}

// watched is a Watch with what it told.
type watched struct {
	*auth.Watch
	mu   sync.Mutex
	told []string
}

func watch(t *testing.T, keys auth.KeyStore) *watched {
	w := &watched{}
	w.Watch = auth.NewWatch(auth.WatchConfig{Keys: keys, Changed: func(id string, key auth.Key, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case err != nil:
			w.told = append(w.told, fmt.Sprint(id, ": ", err))
		default:
			_, err := key.Principal(time.Now(), netip.Addr{})
			w.told = append(w.told, fmt.Sprint(id, ": ", len(key.Scopes), " scopes ", auth.ReasonOf(err)))
		}
	}})
	t.Cleanup(w.Close)
	return w
}

// take returns what was told since.
func (w *watched) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	slices.Sort(told)
	return told
}

func makeKey(t *testing.T, keys auth.KeyStore, id string, expires time.Time) {
	t.Helper()
	err := keys.Create(t.Context(), auth.Key{ID: id, Hash: make([]byte, 32), CreatedAt: time.Now(),
		Scopes: []auth.Scope{auth.ScopeProjectsRead, auth.ScopeStreamsRead}, Projects: []auth.Pattern{"*"}, ExpiresAt: expires}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, keys auth.KeyStore, id string, f func(*auth.Key)) {
	t.Helper()
	if _, err := keys.Update(t.Context(), id, func(k *auth.Key) error { f(k); return nil }); err != nil {
		t.Fatal(err)
	}
}

func revokeKey(k *auth.Key) { k.RevokedAt = time.Now() }

func TestAWatchTellsAtOnceWhatTheStoreTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		keys := auth.NewMemory()
		makeKey(t, keys, "one", time.Time{})
		makeKey(t, keys, "two", time.Time{})
		w := watch(t, keys)
		for _, id := range []string{"one", "two", "none"} {
			_, known := w.Hold(id)
			is.True(!known) // it will be told
		}
		synctest.Wait()
		is.Equal(w.take(), []string{"none: " + auth.ErrKeyNotFound.Error(), "one: 2 scopes ", "two: 2 scopes "})
		key, known := w.Hold("one")
		is.True(known)
		is.Equal(key.ID, "one")
		began := time.Now()
		change(t, keys, "one", revokeKey)
		synctest.Wait()
		is.Equal(w.take(), []string{"one: 2 scopes revoked"})
		change(t, keys, "two", func(k *auth.Key) { k.Scopes = k.Scopes[:1] })
		synctest.Wait()
		is.Equal(w.take(), []string{"two: 1 scopes "})
		change(t, keys, "two", func(k *auth.Key) { k.Policy = "strict" })
		synctest.Wait()
		is.Equal(w.take(), []string{"two: 1 scopes "})
		change(t, keys, "two", func(k *auth.Key) { k.Name = "another"; k.Algorithm = "hmac-sha256:x" })
		synctest.Wait()
		is.Equal(len(w.take()), 0)                 // it allows the same
		is.Equal(time.Since(began), 0*time.Second) // nothing waited for a poll
		w.Release("one")
		change(t, keys, "one", func(k *auth.Key) { k.Scopes = nil })
		synctest.Wait()
		is.Equal(w.take(), []string{"one: 0 scopes revoked"}) // somebody else holds it
		w.Release("one")
		change(t, keys, "one", func(k *auth.Key) { k.Projects = nil })
		synctest.Wait()
		is.Equal(len(w.take()), 0)
		for _, id := range []string{"two", "none", "never held"} {
			w.Release(id)
		}
		w.Close()
	})
}

func TestAWatchAsksAStoreThatTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		keys := &quiet{KeyStore: auth.NewMemory()}
		makeKey(t, keys, "one", time.Time{})
		w := watch(t, keys)
		w.Hold("one")
		synctest.Wait()
		w.take()
		change(t, keys, "one", revokeKey)
		synctest.Wait()
		is.Equal(len(w.take()), 0)
		time.Sleep(auth.DefaultWatchEvery)
		synctest.Wait()
		is.Equal(w.take(), []string{"one: 2 scopes revoked"})
		keys.mu.Lock()
		asks := keys.asks
		keys.mu.Unlock()
		is.Equal(asks, 2)
		w.Close()
	})
}

func TestAWatchTellsOfTheMomentInWhichAKeyExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		keys := &quiet{KeyStore: auth.NewMemory()}
		makeKey(t, keys, "one", time.Now().Add(7500*time.Millisecond))
		w := watch(t, keys)
		w.Hold("one")
		time.Sleep(7500*time.Millisecond - 1)
		synctest.Wait()
		is.Equal(w.take(), []string{"one: 2 scopes "})
		keys.setGone(true) // it needs nobody for that
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		is.Equal(w.take(), []string{"one: 2 scopes expired"})
		keys.setGone(false)
		time.Sleep(time.Minute)
		is.Equal(len(w.take()), 0) // once
		w.Close()
	})
}

// late is a store that says how a key was when it was asked, some time after.
type late struct {
	auth.KeyStore
	by atomic.Int64 // nanoseconds
}

func (l *late) Get(ctx context.Context, id string) (auth.Key, error) {
	key, err := l.KeyStore.Get(ctx, id)
	time.Sleep(time.Duration(l.by.Load()))
	return key, err
}

// TestAKeyThatExpiresDuringAQuestionIsTold, whether the answer comes after that
// or at that very moment, and does not have to wait for it.
func TestAKeyThatExpiresDuringAQuestionIsTold(t *testing.T) {
	for name, expires := range map[string]time.Duration{
		"before the answer": auth.DefaultWatchEvery + 2500*time.Millisecond,
		"with the answer":   auth.DefaultWatchEvery + 3*time.Second,
		"first":             time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 { // of two things at one moment either may be seen first
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					keys := &late{KeyStore: auth.NewMemory()}
					makeKey(t, keys, "one", time.Now().Add(expires))
					w := watch(t, keys)
					w.Hold("one")
					synctest.Wait()
					is.Equal(w.take(), []string{"one: 2 scopes "})
					keys.by.Store(int64(3 * time.Second))
					time.Sleep(expires)
					synctest.Wait()
					is.Equal(w.take(), []string{"one: 2 scopes expired"})
					time.Sleep(time.Minute)
					is.Equal(len(w.take()), 0) // once
					w.Close()
				})
			}
		})
	}
}

func TestAWatchFailsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		keys := &quiet{KeyStore: auth.NewMemory()}
		makeKey(t, keys, "one", time.Time{})
		w := watch(t, keys)
		w.Hold("one")
		synctest.Wait()
		w.take()
		keys.setGone(true)
		time.Sleep(auth.DefaultWatchPatience - time.Second)
		synctest.Wait()
		is.Equal(len(w.take()), 0)
		time.Sleep(time.Second)
		synctest.Wait()
		is.Equal(w.take(), []string{"one: " + auth.ErrKeysUnknown.Error()})
		_, known := w.Hold("one")
		is.True(!known)
		time.Sleep(time.Minute)
		is.Equal(len(w.take()), 0) // once
		keys.setGone(false)
		time.Sleep(2 * auth.DefaultWatchPatience)
		synctest.Wait()
		is.Equal(w.take(), []string{"one: 2 scopes "})
		w.Close()
	})
}

func TestAWatchThatHoldsNothingCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		keys := &quiet{KeyStore: auth.NewMemory()}
		makeKey(t, keys, "one", time.Time{})
		w := watch(t, keys)
		for range 3 { // it begins again
			w.Hold("one")
			synctest.Wait()
			is.Equal(w.take(), []string{"one: 2 scopes "})
			w.Release("one")
			synctest.Wait()
		}
		keys.mu.Lock()
		asks := keys.asks
		keys.mu.Unlock()
		time.Sleep(time.Hour)
		is.Equal(asks, 3)
		is.Equal(keys.asks, 3)
		w.Close()
		w.Hold("one") // is not watched
		synctest.Wait()
		is.Equal(len(w.take()), 0)
		w.Close()
	})
}

func TestKeysAndTheirAddresses(t *testing.T) {
	is := is.New(t)
	list := func(texts ...string) []netip.Prefix {
		found, err := auth.ParsePrefixes(texts)
		is.NoErr(err)
		return found
	}
	f := newFixture(t, func(k *auth.Key) { k.AllowedAddresses = list("10.0.0.0/8", "2001:db8::/32") })
	p, err := f.Authenticate(t.Context(), f.text, netip.MustParseAddr("::ffff:10.9.8.7"))
	is.NoErr(err)
	is.Equal(p.Addr, netip.MustParseAddr("10.9.8.7"))
	is.Equal(p.AllowedAddresses, list("10.0.0.0/8", "2001:db8::/32"))
	for _, from := range []netip.Addr{netip.MustParseAddr("11.0.0.1"), netip.MustParseAddr("::1"), {}} {
		_, err := f.Authenticate(t.Context(), f.text, from)
		is.True(errors.Is(err, auth.ErrUnauthenticated))
		is.Equal(auth.ReasonOf(err), auth.ReasonAddress)
	}
	for _, c := range []struct {
		list []netip.Prefix
		want bool
	}{
		{list("10.0.0.0/8"), true}, {list("10.2.0.0/16", "10.3.4.5"), true}, {list("2001:db8:1::/48"), true},
		{nil, false}, {list("0.0.0.0/0"), false}, {list("10.0.0.0/7"), false}, {list("10.0.0.0/8", "192.0.2.1"), false}, {list("::/0"), false},
	} {
		is.Equal(p.CoversAddresses(c.list), c.want)
		is.Equal(p.CoversKey(auth.Key{Scopes: p.Scopes, Projects: p.Projects, AllowedAddresses: c.list}), c.want)
		is.True(auth.Admin().CoversAddresses(c.list))
		is.True(auth.Principal{}.CoversAddresses(c.list)) // whose key works from anywhere
	}
	is.True(!p.CoversKey(auth.Key{Scopes: auth.AllScopes(), Projects: p.Projects, AllowedAddresses: list("10.0.0.0/8")}))
}
