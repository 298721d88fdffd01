//go:build unix

package pgtest_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/orchard9/rdev/internal/pgtest"
)

// TestMain makes the test binary a helper process for the tests that kill one.
func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_HELPER") != "" {
		m.Run()
		return
	}
	// A server that leaked goroutines into its users' leak checks would be a
	// nuisance.
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func createNotes(ctx context.Context, dsn string) error {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `CREATE TABLE notes (n int PRIMARY KEY)`)
	return err
}

func count(t *testing.T, db *sql.DB) int {
	t.Helper()
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM notes`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNew(t *testing.T) {
	t.Run("EachDatabaseIsFreshAndMigrated", func(t *testing.T) {
		is := is.New(t)
		first, second := pgtest.New(t, createNotes), pgtest.New(t, createNotes)
		is.True(first != second)
		_, err := open(t, first).Exec(`INSERT INTO notes VALUES (1)`)
		is.NoErr(err)
		is.Equal(count(t, open(t, first)), 1)
		is.Equal(count(t, open(t, second)), 0)
	})
	t.Run("MigrationsAreToldApart", func(t *testing.T) {
		is := is.New(t)
		pgtest.New(t, createNotes)
		_, err := open(t, pgtest.New(t, nil)).Exec(`SELECT * FROM notes`)
		is.True(err != nil) // no such table
	})
	t.Run("ADatabaseIsDroppedWithItsTest", func(t *testing.T) {
		is := is.New(t)
		var db *sql.DB
		t.Run("inner", func(inner *testing.T) {
			db = open(t, pgtest.New(inner, createNotes))
			_ = db.Ping() // its connection stays open: DROP must not mind
		})
		var err error
		for range 2 { // the first may find out that its connection was cut
			err = db.Ping()
		}
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "does not exist"))
	})
	t.Run("ParallelTestsGetTheirOwn", func(t *testing.T) {
		for i := range 8 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				is := is.New(t)
				db := open(t, pgtest.New(t, createNotes))
				_, err := db.Exec(`INSERT INTO notes VALUES ($1)`, i)
				is.NoErr(err)
				is.Equal(count(t, db), 1)
			})
		}
	})
}

func TestServer(t *testing.T) {
	t.Run("CommittedRowsSurviveKill", func(t *testing.T) {
		is := is.New(t)
		s := pgtest.Start(t, pgtest.Options{Fsync: true})
		db := open(t, s.Database(t, createNotes))
		_, err := db.Exec(`INSERT INTO notes VALUES (1)`)
		is.NoErr(err)
		s.Kill()
		is.True(db.Ping() != nil) // nobody listens
		s.Restart()
		is.Equal(count(t, db), 1) // same address, same rows
	})
	t.Run("StopAndRestartKeepTheAddress", func(t *testing.T) {
		is := is.New(t)
		s := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "17"}})
		before := s.DSN()
		s.Stop()
		s.Stop() // again: nothing to do
		s.Restart()
		is.Equal(s.DSN(), before)
		var n string
		is.NoErr(open(t, before).QueryRow(`SHOW max_connections`).Scan(&n))
		is.Equal(n, "17")
	})
	t.Run("FrozenConnectionsAnswerAfterThaw", func(t *testing.T) {
		is := is.New(t)
		s := pgtest.Start(t, pgtest.Options{})
		db := open(t, s.Database(t, createNotes))
		db.SetMaxOpenConns(1)
		is.NoErr(db.Ping())
		answered := make(chan error, 1)
		s.Freeze()
		go func() {
			_, err := db.Exec(`INSERT INTO notes VALUES (1)`)
			answered <- err
		}()
		select {
		case err := <-answered:
			t.Fatalf("a frozen server answered: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		s.Thaw()
		is.NoErr(<-answered)
		is.Equal(count(t, db), 1)
	})
	t.Run("OnlyTheOwnerGetsIn", func(t *testing.T) {
		is := is.New(t)
		u, err := url.Parse(pgtest.Start(t, pgtest.Options{}).DSN())
		is.NoErr(err)
		u.User = url.UserPassword("postgres", "guess")
		is.True(open(t, u.String()).Ping() != nil)
	})
	t.Run("NothingIsLeftAfterTheTest", func(t *testing.T) {
		is := is.New(t)
		var folder string
		var dsn string
		t.Run("inner", func(t *testing.T) {
			s := pgtest.Start(t, pgtest.Options{})
			dsn, folder = s.DSN(), dataFolder(t, s.DSN())
			s.Freeze() // not even from here does it stay
		})
		_, err := os.Stat(filepath.Dir(folder))
		is.True(errors.Is(err, os.ErrNotExist))
		is.True(open(t, dsn).Ping() != nil)
	})
}

func TestKilledTestProcessLeavesNothing(t *testing.T) {
	helper, folder := startHelper(t)
	_ = helper.Process.Kill()
	_ = helper.Wait()
	waitGone(t, folder, func() {})
}

func TestNextRunRemovesWhatAKilledWatchdogLeft(t *testing.T) {
	is := is.New(t)
	helper, folder := startHelper(t)
	var server int
	for _, pid := range pgtest.Children(helper.Process.Pid) {
		if strings.Contains(pgtest.CommandLine(pid), "pgtest-watchdog") {
			is.NoErr(syscall.Kill(pid, syscall.SIGKILL))
		} else {
			server = pid
		}
	}
	_ = helper.Process.Kill()
	_ = helper.Wait()
	is.True(strings.Contains(pgtest.CommandLine(server), folder)) // still runs
	old := time.Now().Add(-time.Hour)
	is.NoErr(os.Chtimes(filepath.Join(folder, "lock"), old, old))
	// Again and again: the killed watchdog may hold its lock for a moment.
	waitGone(t, folder, pgtest.Sweep)
	is.True(!strings.Contains(pgtest.CommandLine(server), folder)) // dead
}

// startHelper starts a process that has called New, and returns its server's
// folder.
func startHelper(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	helper := exec.Command(os.Args[0], "-test.run", "^TestHelper$")
	helper.Env = append(os.Environ(), "PGTEST_HELPER=1", "RDEV_TEST_DATABASE_URL=")
	out, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = helper.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(strings.TrimSpace(line))
	if _, err := os.Stat(folder); err != nil {
		t.Fatal(err)
	}
	return helper, folder
}

func waitGone(t *testing.T, folder string, sweep func()) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		sweep()
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", folder)
		}
	}
}

// TestHelper is the process that startHelper starts.
func TestHelper(t *testing.T) {
	if os.Getenv("PGTEST_HELPER") == "" {
		return
	}
	fmt.Println(dataFolder(t, pgtest.New(t, nil)))
	select {}
}

func dataFolder(t *testing.T, dsn string) string {
	t.Helper()
	var folder string
	if err := open(t, dsn).QueryRow(`SHOW data_directory`).Scan(&folder); err != nil {
		t.Fatal(err)
	}
	return folder
}
