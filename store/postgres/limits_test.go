package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/postgres"
)

// replicas opens stores on one database.
func replicas(t *testing.T, n int, lease time.Duration) []*postgres.Store {
	t.Helper()
	dsn := pgtest.New(t, postgres.Migrate)
	stores := make([]*postgres.Store, n)
	for i := range stores {
		stores[i] = open(t, postgres.Options{DSN: dsn, Lease: lease})
	}
	return stores
}

// TestThreeReplicasHoldOneKeyToItsRate: 16 workers on each ask for one key as
// fast as they can. It gets its burst and what the rate gives in that time; not
// more than what it gives in a second more, which may be taken ahead.
func TestThreeReplicasHoldOneKeyToItsRate(t *testing.T) {
	rate := auth.PerMinute(100)
	var allowed, asked atomic.Int64
	var wait sync.WaitGroup
	began := time.Now()
	for _, store := range replicas(t, 3, 0) {
		limiter := auth.NewRateLimiter(store.Limits(), rate)
		for range 16 {
			wait.Go(func() {
				for range 1000 {
					a, err := limiter.Allow(t.Context(), "key")
					if err != nil {
						t.Error(err)
						return
					}
					asked.Add(1)
					if a.OK {
						allowed.Add(1)
					}
				}
			})
		}
	}
	wait.Wait()
	took := time.Since(began)
	most := int64(rate.Burst) + int64((took+time.Second)/rate.Interval()) + 1
	// What one replica has taken ahead and not used is lost to the others.
	least := int64(rate.Burst - 3*rate.Burst/16)
	if got := allowed.Load(); got > most || got < least {
		t.Fatalf("%d of %d were allowed in %v, want %d to %d", got, asked.Load(), took, least, most)
	}
}

func limitedService(t *testing.T, s *postgres.Store, executor *exectest.Fake, name string) *rdev.Service {
	t.Helper()
	svc, err := rdev.New(t.Context(), rdev.Config{
		Executor: executor, Commands: s.Commands(), Broker: s.Broker(), Keys: s.Keys(), Replica: name,
		Projects: rdev.FixedProjects(rdev.Project{Name: "app"}), OnError: func(err error) { t.Log(err) },
		MaxProjectCommands: 10, MaxKeyCommands: 6,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := svc.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return svc
}

func pods() *exectest.Fake {
	return &exectest.Fake{Programs: map[string]exectest.Script{
		"sleep": {Steps: []exectest.Step{{Text: "begin\n"}, {Delay: time.Hour}}},
	}}
}

func sleeping(wait time.Duration) rdev.Request {
	return rdev.Request{Project: "app", MaxWait: wait, Request: policy.Request{Shell: &policy.Shell{Argv: []string{"sleep"}}}}
}

// caller may do everything, as a key with limits.
func caller(id string) auth.Principal {
	p := auth.Admin()
	p.KeyID, p.Admin = id, false
	return p
}

// TestThreeReplicasHoldOneKeyToItsCommands: exactly as many run as may, over all
// replicas, whoever asks where.
func TestThreeReplicasHoldOneKeyToItsCommands(t *testing.T) {
	executor := pods()
	var started, refused atomic.Int64
	var wait sync.WaitGroup
	for i, store := range replicas(t, 3, 0) {
		svc := limitedService(t, store, executor, string(rune('a'+i)))
		for range 16 {
			wait.Go(func() {
				_, _, err := svc.Run(t.Context(), caller("key"), sleeping(0))
				switch {
				case err == nil:
					started.Add(1)
				case errors.Is(err, rdev.ErrTooManyCommands):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	if started.Load() != 6 || refused.Load() != 42 {
		t.Fatalf("%d commands were started and %d refused, want 6 and 42", started.Load(), refused.Load())
	}
}

// TestTheQueueOutlivesAReplica: a replica with a running command and some that
// wait falls without a word. Another takes all of them over, and the turn of
// those that wait comes there.
func TestTheQueueOutlivesAReplica(t *testing.T) {
	executor := pods()
	stores := replicas(t, 2, 2*time.Second)
	dead, err := rdev.New(t.Context(), rdev.Config{
		Executor: executor, Commands: stores[0].Commands(), Broker: stores[0].Broker(), Keys: stores[0].Keys(), Replica: "dead",
		Projects: rdev.FixedProjects(rdev.Project{Name: "app", Limits: rdev.Limits{Commands: 1}}), LeaveRunning: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	start := func(key string) string {
		t.Helper()
		cmd, _, err := dead.Run(t.Context(), caller(key), sleeping(5*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // ids sort by milliseconds
		return cmd.ID
	}
	running := start("a")
	turns := []string{start("a"), start("b")}
	if err := stores[0].Fall(); err != nil { // as kill -9: nothing is released
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = dead.Close(gone)

	next, err := rdev.New(t.Context(), rdev.Config{
		Executor: executor, Commands: stores[1].Commands(), Broker: stores[1].Broker(), Keys: stores[1].Keys(), Replica: "next",
		Projects: rdev.FixedProjects(rdev.Project{Name: "app", Limits: rdev.Limits{Commands: 1}}), OnError: func(err error) { t.Log(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := next.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The place is still taken: the command runs in its pod.
	if _, _, err := next.Run(ctx, caller("c"), sleeping(0)); !errors.Is(err, rdev.ErrTooManyCommands) {
		t.Fatalf("a place was free: %v", err)
	}
	for _, id := range turns {
		if _, err := next.Cancel(ctx, auth.Admin(), "app", running); err != nil {
			t.Fatal(err)
		}
		for {
			cmd, err := next.Get(ctx, auth.Admin(), "app", id)
			if err != nil {
				t.Fatal(err)
			}
			if cmd.State == rdev.StateRunning {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		running = id
	}
}
