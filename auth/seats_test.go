package auth_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

func seats(store auth.LimitStore, most int) *auth.Seats {
	return auth.NewSeats(auth.SeatsConfig{Store: store, Most: most, TTL: 9 * time.Second})
}

func TestAKeyHasSoManyPlacesOverAllServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := new(auth.MemoryLimits)
		servers := []*auth.Seats{seats(store, 5), seats(store, 5), seats(store, 5)}
		var releases []func()
		for i := range 5 {
			release, err := servers[i%3].Take(t.Context(), "key")
			is.NoErr(err)
			releases = append(releases, release)
		}
		for _, s := range servers {
			_, err := s.Take(t.Context(), "key")
			is.True(errors.Is(err, auth.ErrNoSeat))
			release, err := s.Take(t.Context(), "other")
			is.NoErr(err)
			release()
		}
		time.Sleep(time.Hour) // while they are open, they are held
		_, err := servers[0].Take(t.Context(), "key")
		is.True(errors.Is(err, auth.ErrNoSeat))

		releases[0]()
		releases[0]() // once is enough
		again, err := servers[0].Take(t.Context(), "key")
		is.NoErr(err) // at once on the same server
		_, err = servers[0].Take(t.Context(), "key")
		is.True(errors.Is(err, auth.ErrNoSeat))
		again()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		again, err = servers[2].Take(t.Context(), "key")
		is.NoErr(err) // on another one with the next renewal
		again()
		for _, release := range releases {
			release()
		}
		for _, s := range servers {
			is.NoErr(s.Wait(t.Context()))
		}
		fresh := seats(store, 5)
		for range 5 {
			release, err := fresh.Take(t.Context(), "key")
			is.NoErr(err) // everything was given back
			defer release()
		}
	})
}

// frozen is the store as a server sees it that was killed: it hears no more.
type frozen struct {
	auth.LimitStore
	dead atomic.Bool
}

func (f *frozen) Keep(ctx context.Context, holder string, held map[string]int, ttl time.Duration) error {
	if f.dead.Load() {
		return errors.New("killed")
	}
	return f.LimitStore.Keep(ctx, holder, held, ttl)
}

func TestThePlacesOfADeadServerComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := new(auth.MemoryLimits)
		link := &frozen{LimitStore: store}
		dead, well := seats(link, 2), seats(store, 2)
		var open []func()
		for range 2 {
			release, err := dead.Take(t.Context(), "key")
			is.NoErr(err)
			open = append(open, release)
		}
		link.dead.Store(true)
		_, err := well.Take(t.Context(), "key")
		is.True(errors.Is(err, auth.ErrNoSeat))
		time.Sleep(9*time.Second + time.Millisecond)
		release, err := well.Take(t.Context(), "key")
		is.NoErr(err)
		link.dead.Store(false) // so that its goroutine can end
		release()
		for _, r := range open {
			r()
		}
	})
}

func TestConcurrentTakersStayWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(auth.MemoryLimits)
		var mu sync.Mutex
		open, most := 0, 0
		var wait sync.WaitGroup
		for range 3 {
			s := seats(store, 10)
			for range 16 {
				wait.Go(func() {
					for range 50 {
						release, err := s.Take(t.Context(), "key")
						if err == nil {
							mu.Lock()
							open++
							most = max(most, open)
							mu.Unlock()
							time.Sleep(100 * time.Millisecond)
							mu.Lock()
							open--
							mu.Unlock()
							release()
						} else if !errors.Is(err, auth.ErrNoSeat) {
							t.Error(err)
						}
						time.Sleep(50 * time.Millisecond)
					}
				})
			}
		}
		wait.Wait()
		if most != 10 {
			t.Fatalf("%d were open at once, want the limit, 10", most)
		}
	})
}
