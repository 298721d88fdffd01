package postgres_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev/rdevtest"
	"github.com/orchard9/rdev/store/postgres"
)

// pgBouncer starts a PgBouncer in transaction mode, with so few connections
// that the statements of a client land on different ones, and returns the DSN
// through it.
func pgBouncer(t *testing.T, dsn string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // Debian's, which is not in everybody's PATH
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatal("pgbouncer is missing; ./test.sh installs it where it may")
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	config := fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
`, u.Hostname(), u.Port(), u.User.Username(), password, addr.Port)
	path := filepath.Join(t.TempDir(), "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{path}
	if os.Getuid() == 0 { // which it refuses to run as
		args = []string{"-u", "nobody", path}
	}
	var log strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Log(log.String())
		}
	})
	eventually(t, "listening", func() bool {
		conn, err := net.Dial("tcp4", addr.String())
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return via(t, dsn, addr.String())
}

func TestBehindAPoolerInTransactionMode(t *testing.T) {
	direct := pgtest.New(t, postgres.Migrate)
	pooled := pgBouncer(t, direct)
	for name, test := range map[string]struct {
		opts postgres.Options
		want postgres.Wakeups
	}{
		"WithAConnectionForListen": {postgres.Options{DSN: pooled, Pooled: true, ListenDSN: direct}, postgres.WakeupsNotify},
		"ByPollingAlone":           {postgres.Options{DSN: pooled, Pooled: true}, postgres.WakeupsPoll},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			told := make(chan postgres.Wakeups, 100)
			test.opts.OnWakeups = func(w postgres.Wakeups) { told <- w }
			a, b := open(t, test.opts), open(t, test.opts)
			ctx := within(t)
			var wg sync.WaitGroup
			for i := range 8 {
				id := fmt.Sprintf("%s-%d", name, i)
				wg.Go(func() {
					for n := range uint64(50) {
						if err := a.Broker().Publish(ctx, id, batch(n*10+1, 10)); err != nil {
							t.Error(err)
							return
						}
					}
				})
				wg.Go(func() {
					if err := readTo(ctx, b, id, 0, 500); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			deadline := time.After(time.Minute)
			for got := postgres.Wakeups(""); got != test.want; {
				select {
				case got = <-told:
				case <-deadline:
					t.Fatalf("woken by %q, want %q", got, test.want)
				}
			}
			is.Equal(a.Wakeups(), test.want) // and it says which
		})
	}
	t.Run("LeasesHold", func(t *testing.T) {
		rdevtest.Leases(t, func(t *testing.T, ttl time.Duration) rdevtest.LeasedCommands {
			dsn := pgtest.New(t, postgres.Migrate)
			s := open(t, postgres.Options{DSN: via(t, dsn, host(t, pooled)), Pooled: true, ListenDSN: dsn, Lease: ttl})
			return s.Commands()
		})
	})
}

func TestAPoolerDoesNotMigrate(t *testing.T) {
	is := is.New(t)
	direct := pgtest.New(t, nil)
	pooled := pgBouncer(t, direct)
	_, err := postgres.Open(t.Context(), postgres.Options{DSN: pooled, Pooled: true})
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "ListenDSN"))
}
