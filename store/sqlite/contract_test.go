package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/auth/authtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/rdev/rdevtest"
	"github.com/orchard9/rdev/store/sqlite"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/streamtest"
)

func TestMain(m *testing.M) {
	if inChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// open opens the file and closes it when the test ends.
func open(t testing.TB, path string, options *sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *sqlite.Store) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// file returns the path of a file that is not there yet.
func file(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data", "rdev.db")
}

func TestKeyStore(t *testing.T) {
	authtest.Run(t, func(t *testing.T) auth.KeyStore { return open(t, file(t), nil).Keys() })
}

func TestCommands(t *testing.T) {
	rdevtest.Commands(t, func(t *testing.T) rdev.Commands { return open(t, file(t), nil).Commands() })
}

func TestQueue(t *testing.T) {
	rdevtest.Queue(t, func(t *testing.T) rdevtest.QueuedCommands { return open(t, file(t), nil).Commands() })
}

func TestLimits(t *testing.T) {
	authtest.Limits(t, func(t *testing.T) auth.LimitStore { return open(t, file(t), nil).Limits() })
}

func TestBroker(t *testing.T) { runBroker(t, nil) }

// TestBrokerWithHardlyAnyMemory has readers read the file nearly always.
func TestBrokerWithHardlyAnyMemory(t *testing.T) {
	runBroker(t, &sqlite.Options{Hub: stream.HubConfig{StreamBytes: 1, TotalBytes: 1, ReadBytes: 1}})
}

func runBroker(t *testing.T, options *sqlite.Options) {
	streamtest.Run(t, func(t *testing.T) streamtest.Subject {
		path := file(t)
		s := open(t, path, options)
		return streamtest.Subject{
			Broker: s.Broker(),
			Reopen: func(t *testing.T) stream.Broker {
				closeStore(t, s)
				s = open(t, path, options)
				return s.Broker()
			},
			Trim: func(t *testing.T, id string, through uint64) {
				if err := s.Trim(context.Background(), id, through); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
