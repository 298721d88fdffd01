package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationTimeouts: a change of the schema may take long, but not hold up the
// replicas that work on the old one.
const migrationTimeouts = `SET lock_timeout = '5s'; SET statement_timeout = '10min'`

// Migrate brings the schema up to date. Any number of replicas may do so at
// once: an advisory lock lets one after the other. dsn must lead to the
// database itself, or to a pooler in session mode.
func Migrate(ctx context.Context, dsn string) error {
	return withGoose(dsn, func(p *goose.Provider, db *sql.DB) error {
		if latest, err := isLatest(ctx, p, db); err != nil || latest {
			return failed(ctx, "migrate", err)
		}
		_, err := p.Up(ctx)
		return failed(ctx, "migrate", err)
	})
}

// MigrateDown takes the schema back to nothing. Everything in it is lost.
func MigrateDown(ctx context.Context, dsn string) error {
	return withGoose(dsn, func(p *goose.Provider, _ *sql.DB) error {
		_, err := p.DownTo(ctx, 0)
		return failed(ctx, "migrate down", err)
	})
}

// checkSchema is Migrate where nothing can be changed, because dsn leads to a
// pooler in transaction mode, which cannot hold the lock.
func checkSchema(ctx context.Context, dsn string) error {
	return withGoose(dsn, func(p *goose.Provider, db *sql.DB) error {
		latest, err := isLatest(ctx, p, db)
		if err == nil && !latest {
			err = errors.New("the schema is not up to date, and a pooler cannot bring it there: set a ListenDSN that leads to the database itself")
		}
		return failed(ctx, "check schema", err)
	})
}

// isLatest reports whether there is nothing to do, which is so at most starts;
// they take no lock then.
func isLatest(ctx context.Context, p *goose.Provider, db *sql.DB) (bool, error) {
	var there bool
	// Without parameters: one round trip on one connection of a pooler.
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&there); err != nil || !there {
		return false, err
	}
	sources := p.ListSources()
	var version int64
	err := db.QueryRowContext(ctx, `SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	return version >= sources[len(sources)-1].Version, err
}

func withGoose(dsn string, f func(*goose.Provider, *sql.DB) error) (err error) {
	connector, err := newConnector(dsn, session{setup: migrationTimeouts, patient: true})
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
	if err != nil {
		return fmt.Errorf("store/postgres: migration lock: %w", err)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("store/postgres: migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("store/postgres: migrations: %w", err)
	}
	return f(p, db)
}
