package auth_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

// reference is GCRA as its definition has it (ITU-T I.371, virtual scheduling):
// a cell that comes more than the tolerance before its theoretical arrival time
// does not conform.
type reference struct {
	increment, tolerance time.Duration
	arrival              time.Time
}

func (r *reference) conforms(now time.Time) bool {
	if now.Before(r.arrival.Add(-r.tolerance)) {
		return false
	}
	if r.arrival.Before(now) {
		r.arrival = now
	}
	r.arrival = r.arrival.Add(r.increment)
	return true
}

// TestTheRateIsGCRA makes 100,000 random arrivals and asks the store, and the
// reference, for each.
func TestTheRateIsGCRA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := auth.PerMinute(100)
		model := reference{increment: 600 * time.Millisecond, tolerance: 99 * 600 * time.Millisecond}
		store := new(auth.MemoryLimits)
		dice := rand.New(rand.NewPCG(1, 2))
		for step := range 100_000 {
			// Pauses from none to far above the interval, mostly around it.
			time.Sleep(time.Duration(dice.ExpFloat64() * float64(500*time.Millisecond)))
			if dice.IntN(2000) == 0 {
				time.Sleep(time.Duration(dice.IntN(120)) * time.Second)
			}
			want := model.conforms(time.Now())
			taken, err := store.Take(t.Context(), "key", rate, 1)
			if err != nil || (taken.N == 1) != want {
				t.Fatalf("step %d: took %d, %v; the reference says %v", step, taken.N, err, want)
			}
			if !want && taken.Next <= 0 || taken.Left < 0 || taken.Left > rate.Burst || taken.Whole < 0 || taken.Whole > time.Minute {
				t.Fatalf("step %d: %+v", step, taken)
			}
		}
	})
}

// TestAKeyThatWaitsAsToldIsServed: Next is neither too short nor too long.
func TestAKeyThatWaitsAsToldIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := auth.NewRateLimiter(new(auth.MemoryLimits), auth.PerMinute(7))
		allowed := 0
		for range 1000 {
			a, err := limiter.Allow(t.Context(), "key")
			if err != nil {
				t.Fatal(err)
			}
			if a.OK {
				allowed++
				continue
			}
			time.Sleep(a.RetryAfter - time.Microsecond)
			if early, _ := limiter.Allow(t.Context(), "key"); early.OK {
				t.Fatal("a microsecond earlier would have done")
			}
			time.Sleep(time.Microsecond)
			if a, _ = limiter.Allow(t.Context(), "key"); !a.OK {
				t.Fatalf("refused after the wait that was told, for %v more", a.RetryAfter)
			}
			allowed++
		}
		if allowed != 1000 {
			t.Fatalf("%d of 1000 were served", allowed)
		}
	})
}

// counting counts the questions to a store.
type counting struct {
	auth.LimitStore
	takes atomic.Int64
	err   error
	pause time.Duration
}

func (c *counting) Take(ctx context.Context, key string, rate auth.Rate, n int) (auth.Taken, error) {
	c.takes.Add(1)
	time.Sleep(c.pause)
	if c.err != nil {
		return auth.Taken{}, c.err
	}
	return c.LimitStore.Take(ctx, key, rate, n)
}

// TestServersTogetherStayWithinTheBound has three servers with 16 workers each,
// on one store, ask for one key as fast as they can for ten minutes: in no span
// of time does the key get more than the burst, and one for each interval of the
// span and a second.
func TestServersTogetherStayWithinTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := auth.PerMinute(100)
		store := &counting{LimitStore: new(auth.MemoryLimits), pause: time.Millisecond}
		var mu sync.Mutex
		var served []time.Time
		var wait sync.WaitGroup
		end := time.Now().Add(10 * time.Minute)
		for server := range 3 {
			limiter := auth.NewRateLimiter(store, rate)
			for worker := range 16 {
				wait.Go(func() {
					dice := rand.New(rand.NewPCG(uint64(server), uint64(worker)))
					for time.Now().Before(end) {
						a, err := limiter.Allow(t.Context(), "key")
						if err != nil {
							t.Error(err)
						}
						if a.OK {
							mu.Lock()
							served = append(served, time.Now())
							mu.Unlock()
						}
						time.Sleep(time.Duration(dice.IntN(100)) * time.Millisecond)
					}
				})
			}
		}
		wait.Wait()
		slices.SortFunc(served, time.Time.Compare)
		for i, from := range served {
			for j, to := range served[i:] {
				most := rate.Burst + int((to.Sub(from)+time.Second)/rate.Interval()) + 1
				if j+1 > most {
					t.Fatalf("%d were served within %v, %d may be", j+1, to.Sub(from), most)
				}
			}
		}
		// And not much is lost by taking ahead.
		if least := 1000; len(served) < least {
			t.Fatalf("%d were served in ten minutes, want %d at least", len(served), least)
		}
	})
}

// TestABusyKeyAsksTheStoreLess: five requests a second, as in the measure of the
// whole server.
func TestABusyKeyAsksTheStoreLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{LimitStore: new(auth.MemoryLimits)}
		limiter := auth.NewRateLimiter(store, auth.PerMinute(600))
		for range 500 {
			if a, err := limiter.Allow(t.Context(), "key"); err != nil || !a.OK {
				t.Fatalf("refused: %+v, %v", a, err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if asked := store.takes.Load(); asked > 250 {
			t.Fatalf("the store was asked %d times for 500 requests", asked)
		}
		// A key that is refused does not ask at all.
		for {
			if a, _ := limiter.Allow(t.Context(), "key"); !a.OK {
				break
			}
		}
		asked := store.takes.Load()
		for range 10_000 {
			if a, _ := limiter.Allow(t.Context(), "key"); a.OK {
				t.Fatal("served without a pause")
			}
		}
		if got := store.takes.Load(); got != asked {
			t.Fatalf("the store was asked %d times for a key that it had refused", got-asked)
		}
	})
}

// TestAStoreThatFailsIsAnError: nothing is let through, and those who waited for
// its answer do not each ask again.
func TestAStoreThatFailsIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		broken := errors.New("broken")
		store := &counting{LimitStore: new(auth.MemoryLimits), err: broken, pause: time.Second}
		limiter := auth.NewRateLimiter(store, auth.PerMinute(100))
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				if _, err := limiter.Allow(t.Context(), "key"); !errors.Is(err, broken) {
					t.Errorf("got %v", err)
				}
			})
		}
		wait.Wait()
		is.Equal(store.takes.Load(), int64(1))
		store.err = nil
		a, err := limiter.Allow(t.Context(), "key")
		is.NoErr(err)
		is.True(a.OK)
		is.Equal(a.Left, 99) // nothing was taken before
	})
}

// obedient is a store that takes a while, and gives up when it is told to.
type obedient struct {
	auth.LimitStore
	pause time.Duration
}

func (o *obedient) Take(ctx context.Context, key string, rate auth.Rate, n int) (auth.Taken, error) {
	select {
	case <-time.After(o.pause):
		return o.LimitStore.Take(ctx, key, rate, n)
	case <-ctx.Done():
		return auth.Taken{}, ctx.Err()
	}
}

// TestACallerThatHangsUpFailsNobodyElse: the one whose question to the store is
// for all that wait.
func TestACallerThatHangsUpFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		limiter := auth.NewRateLimiter(&obedient{new(auth.MemoryLimits), 200 * time.Millisecond}, auth.PerMinute(100))
		first, hangUp := context.WithCancel(t.Context())
		go func() { _, _ = limiter.Allow(first, "key") }()
		synctest.Wait()
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				if a, err := limiter.Allow(t.Context(), "key"); err != nil || !a.OK {
					t.Errorf("got %+v, %v", a, err)
				}
			})
		}
		waits, stop := context.WithCancel(t.Context())
		wait.Go(func() {
			if _, err := limiter.Allow(waits, "key"); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		stop() // who waits for the others' question may leave at once
		hangUp()
		began := time.Now()
		wait.Wait()
		is.True(time.Since(began) <= time.Second/2) // they asked together
	})
}

// TestAStoreThatHangsIsAnErrorInTime: nobody may wait for ever.
func TestAStoreThatHangsIsAnErrorInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		limiter := auth.NewRateLimiter(&obedient{new(auth.MemoryLimits), time.Hour}, auth.PerMinute(100))
		began := time.Now()
		_, err := limiter.Allow(t.Context(), "key")
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(time.Since(began) < time.Minute)
	})
}

func TestRatesAreChecked(t *testing.T) {
	is := is.New(t)
	is.NoErr(auth.Rate{}.Validate())
	is.True(!auth.PerMinute(0).Limits())
	is.NoErr(auth.PerMinute(100).Validate())
	is.Equal(auth.PerMinute(100).Interval(), 600*time.Millisecond)
	is.Equal(auth.PerMinute(7).Interval(), 8571429*time.Microsecond) // never too fast
	for _, r := range []auth.Rate{{Requests: 1, Per: time.Second}, {Requests: 1, Burst: 1}, {Per: time.Second, Burst: 1}, {Requests: -1, Per: 1, Burst: 1}, {Requests: 2e6, Per: time.Second, Burst: 1}} {
		is.True(r.Validate() != nil)
	}
}
