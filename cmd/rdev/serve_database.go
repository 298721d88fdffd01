package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/postgres"
	"github.com/orchard9/rdev/store/sqlite"
	"github.com/orchard9/rdev/stream"
)

// storage is where the server keeps everything: the ports on one
// database.
type storage struct {
	keys     auth.KeyStore
	commands rdev.Commands
	broker   stream.Broker
	audit    rdev.Audit
	limits   auth.LimitStore
	close    func(context.Context) error
}

func (s *storage) Keys() auth.KeyStore             { return s.keys }
func (s *storage) Commands() rdev.Commands         { return s.commands }
func (s *storage) Broker() stream.Broker           { return s.broker }
func (s *storage) Audit() rdev.Audit               { return s.audit }
func (s *storage) Limits() auth.LimitStore         { return s.limits }
func (s *storage) Close(ctx context.Context) error { return s.close(ctx) }

// openStorage opens the file in the data folder, or the Postgres that several
// servers share if one is set.
func openStorage(ctx context.Context, c Config, log *zerolog.Logger, failed func(error)) (*storage, error) {
	if !c.DatabaseURL.IsZero() {
		return openPostgres(ctx, c, log, failed)
	}
	s, err := sqlite.Open(ctx, filepath.Join(c.DataDir, "rdev.db"), &sqlite.Options{
		MaxAge:   c.KeepFor,
		MaxBytes: c.KeepBytes,
		OnError:  failed,
	})
	if err != nil {
		return nil, storeError(c.DataDir, err)
	}
	return &storage{s.Keys(), s.Commands(), s.Broker(), s.Audit(), s.Limits(), s.Close}, nil
}

// openPostgres opens the shared database. A key that this server made for
// itself would open only this one of several, by chance of who answers: so the
// admin key must be given to all.
func openPostgres(ctx context.Context, c Config, log *zerolog.Logger, failed func(error)) (*storage, error) {
	if c.AdminKey.IsZero() && c.AdminKeyFile == "" {
		return nil, usagef("RDEV_DATABASE_URL is set, so other servers may work on that database: no admin key is made then; set RDEV_ADMIN_KEY_FILE (or RDEV_ADMIN_KEY), to the same key for all of them")
	}
	s, err := postgres.Open(ctx, postgres.Options{
		DSN:       c.DatabaseURL.Reveal(),
		Pooled:    c.DatabasePooled,
		ListenDSN: c.DatabaseListenURL.Reveal(),
		PoolSize:  int(c.DatabasePoolSize),
		MaxAge:    c.KeepFor,
		OnError:   failed,
		OnWakeups: func(w postgres.Wakeups) {
			log.Info().Str("by", string(w)).Msg("readers learn of output on other servers")
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open the database of RDEV_DATABASE_URL: %w", err)
	}
	return &storage{s.Keys(), s.Commands(), s.Broker(), s.Audit(), s.Limits(), s.Close}, nil
}
