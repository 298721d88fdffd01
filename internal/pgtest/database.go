//go:build unix

package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Migration brings an empty database to the schema under test. It must have
// closed its connections when it returns. Migrations are told apart by their
// code: pass a function, or a literal that captures nothing that differs.
type Migration = func(ctx context.Context, dsn string) error

// databaseTimeout bounds what is done to get a database, migration included.
const databaseTimeout = 2 * time.Minute

// New returns the DSN of a fresh database that migrate was applied to; nil
// leaves it empty. It is dropped when the test ends, whoever is connected.
//
// The server is shared by the test process. migrate runs once in it, on a
// template; each database is a copy. On the server of RDEV_TEST_DATABASE_URL,
// whose user must be allowed to create databases, it runs for each.
func New(tb testing.TB, migrate Migration) (dsn string) {
	tb.Helper()
	if external := os.Getenv("RDEV_TEST_DATABASE_URL"); external != "" {
		return newExternal(tb, external, migrate)
	}
	s, err := shared()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return s.Database(tb, migrate)
}

// shared is the server of this process. It is the package's one variable: a
// process has one such server, and its watchdog must not be collected.
var shared = sync.OnceValues(func() (*Server, error) { return newServer(Options{}) })

// Database is New on this server. The database stays as long as a server that
// Start gave.
func (s *Server) Database(tb testing.TB, migrate Migration) (dsn string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	name, err := s.newDatabase(ctx, migrate)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if s.tb == nil { // the shared one: it stays
			drop(tb, s.DSN(), name)
		}
	})
	return s.dsn(name)
}

func (s *Server) newDatabase(ctx context.Context, migrate Migration) (string, error) {
	// One at a time: Postgres lets nobody use a template while it is copied.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	if migrate == nil {
		return name, execute(ctx, s.DSN(), "CREATE DATABASE "+name)
	}
	key := reflect.ValueOf(migrate).Pointer()
	template, ok := s.templates[key]
	if !ok {
		template = fmt.Sprintf("template_%d", s.databases)
		if err := execute(ctx, s.DSN(), "CREATE DATABASE "+template); err != nil {
			return "", err
		}
		if err := migrate(ctx, s.dsn(template)); err != nil {
			return "", fmt.Errorf("migrating: %w", err)
		}
		s.templates[key] = template
	}
	return name, execute(ctx, s.DSN(), "CREATE DATABASE "+name+" TEMPLATE "+template)
}

// newExternal makes a database on a server that is not this package's. Its
// name carries the time, so that a later run can drop what a killed one left.
func newExternal(tb testing.TB, server string, migrate Migration) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		tb.Fatal("pgtest: RDEV_TEST_DATABASE_URL must be a URL: postgres://user:password@host:port/database?sslmode=disable")
	}
	dropOld(ctx, server)
	name := fmt.Sprintf("%s%d_%s", externalPrefix, time.Now().Unix(), strings.ToLower(rand.Text()))
	if err := execute(ctx, server, "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("pgtest: RDEV_TEST_DATABASE_URL: %v", err)
	}
	tb.Cleanup(func() { drop(tb, server, name) })
	u.Path = name
	if migrate != nil {
		if err := migrate(ctx, u.String()); err != nil {
			tb.Fatalf("pgtest: migrating: %v", err)
		}
	}
	return u.String()
}

const externalPrefix = "rdev_pgtest_"

// dropOld drops databases of newExternal that are older than a day. It is a
// courtesy: what fails is left.
func dropOld(ctx context.Context, server string) {
	db, err := sql.Open("postgres", server)
	if err != nil {
		return
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT datname FROM pg_database WHERE starts_with(datname, $1)`, externalPrefix)
	if err != nil {
		return
	}
	defer rows.Close()
	var old []string
	for rows.Next() {
		var name string
		var made int64
		if rows.Scan(&name) != nil {
			return
		}
		_, err := fmt.Sscanf(strings.TrimPrefix(name, externalPrefix), "%d_", &made)
		if err == nil && time.Since(time.Unix(made, 0)) > 24*time.Hour {
			old = append(old, name)
		}
	}
	if rows.Err() != nil {
		return
	}
	for _, name := range old {
		_, _ = db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	}
}

func drop(tb testing.TB, server, name string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	if err := execute(ctx, server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		tb.Errorf("pgtest: %v", err)
	}
}

// execute runs one statement on a connection of its own, which leaves no
// goroutine behind.
func execute(ctx context.Context, server, statement string) error {
	db, err := sql.Open("postgres", server)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
