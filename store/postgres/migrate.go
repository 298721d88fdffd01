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

// Migrate brings the schema up to date. Any number of replicas may do so at
// once: an advisory lock lets one after the other. dsn must lead to the
// database itself, or to a pooler in session mode.
func Migrate(ctx context.Context, dsn string) error {
	return withGoose(dsn, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return failed(ctx, "migrate", err)
	})
}

// MigrateDown takes the schema back to nothing. Everything in it is lost.
func MigrateDown(ctx context.Context, dsn string) error {
	return withGoose(dsn, func(p *goose.Provider) error {
		_, err := p.DownTo(ctx, 0)
		return failed(ctx, "migrate down", err)
	})
}

func withGoose(dsn string, f func(*goose.Provider) error) (err error) {
	connector, err := newConnector(dsn, true) // a migration may take longer than a query
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
	return f(p)
}
