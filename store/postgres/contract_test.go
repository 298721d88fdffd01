package postgres_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/auth/authtest"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/rdev/rdevtest"
	"github.com/orchard9/rdev/store/postgres"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store on the database, closed when the test ends.
func open(t testing.TB, opts postgres.Options) *postgres.Store {
	t.Helper()
	if opts.OnError == nil {
		opts.OnError = func(err error) { t.Log(err) }
	}
	s, err := postgres.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t testing.TB, s *postgres.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestKeyStoreContract(t *testing.T) {
	authtest.Run(t, func(t *testing.T) auth.KeyStore {
		return open(t, postgres.Options{DSN: pgtest.New(t, postgres.Migrate)}).Keys()
	})
}

func TestBrokerContract(t *testing.T) {
	for name, opts := range map[string]postgres.Options{
		"Notify": {},
		"Poll":   {PollOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			streamtest.Run(t, func(t *testing.T) streamtest.Subject {
				opts.DSN = pgtest.New(t, postgres.Migrate)
				s := open(t, opts)
				return streamtest.Subject{
					Broker: s.Broker(),
					Reopen: func(t *testing.T) stream.Broker { return open(t, opts).Broker() },
					Trim: func(t *testing.T, streamID string, through uint64) {
						t.Helper()
						if err := s.Trim(t.Context(), streamID, through); err != nil {
							t.Fatal(err)
						}
					},
				}
			})
		})
	}
}

func TestCommandsContract(t *testing.T) {
	for name, opts := range map[string]postgres.Options{"Direct": {}, "AsBehindAPooler": {Pooled: true}} {
		t.Run(name, func(t *testing.T) {
			rdevtest.Commands(t, func(t *testing.T) rdev.Commands {
				opts.DSN = pgtest.New(t, postgres.Migrate)
				return open(t, opts).Commands()
			})
		})
	}
}

func TestQueueContract(t *testing.T) {
	for name, opts := range map[string]postgres.Options{"Direct": {}, "AsBehindAPooler": {Pooled: true}} {
		t.Run(name, func(t *testing.T) {
			rdevtest.Queue(t, func(t *testing.T) rdevtest.QueuedCommands {
				opts.DSN = pgtest.New(t, postgres.Migrate)
				return open(t, opts).Commands()
			})
		})
	}
}

func TestLeasesContract(t *testing.T) {
	rdevtest.Leases(t, func(t *testing.T, ttl time.Duration) rdevtest.LeasedCommands {
		return open(t, postgres.Options{DSN: pgtest.New(t, postgres.Migrate), Lease: ttl}).Commands()
	})
}

func TestLimitsContract(t *testing.T) {
	for name, opts := range map[string]postgres.Options{"Direct": {}, "AsBehindAPooler": {Pooled: true}} {
		t.Run(name, func(t *testing.T) {
			authtest.Limits(t, func(t *testing.T) auth.LimitStore {
				opts.DSN = pgtest.New(t, postgres.Migrate)
				return open(t, opts).Limits()
			})
		})
	}
}
