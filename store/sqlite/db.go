package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite" // registers the driver
)

// db is the connections to the file: one that writes, some that read.
type db struct {
	write   *sqlx.DB
	read    *sqlx.DB
	timeout time.Duration

	checkpoints *checkpointer
}

func writerDSN(path string) string {
	return dsn(path, url.Values{
		"_txlock":       {"immediate"}, // or a transaction that reads first may fail to write
		"_auto_vacuum":  {"incremental"},
		"_journal_mode": {"wal"},
		"_synchronous":  {"normal"},
		"_foreign_keys": {"1"},
		"_pragma": {
			"wal_autocheckpoint(" + inlinePages + ")",
			"journal_size_limit(67108864)",
			// The secrets of ended commands are overwritten where that is free.
			"secure_delete(fast)",
		},
	})
}

func readerDSN(path string) string {
	return dsn(path, url.Values{"mode": {"ro"}, "_query_only": {"1"}})
}

func dsn(path string, values url.Values) string {
	values.Set("_busy_timeout", "5000")
	values.Set("_dqs", "0")
	values.Set("_defensive", "1")
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + values.Encode()
}

// bounded gives ctx the deadline that every query has.
func (d *db) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d.timeout)
}

// change runs f in a transaction of the one connection that writes.
func (d *db) change(ctx context.Context, f func(context.Context, *sqlx.Tx) error) (err error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	tx, err := d.write.BeginTxx(ctx, nil)
	if err != nil {
		return contextual(ctx, err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // it may have been rolled back already
		}
	}()
	if err := f(ctx, tx); err != nil {
		return contextual(ctx, err)
	}
	return contextual(ctx, tx.Commit())
}

func (d *db) close() error {
	// The last to go does a whole checkpoint and removes the WAL, which a
	// connection that may only read cannot.
	return errors.Join(d.read.Close(), d.checkpoints.close(), d.write.Close())
}

// contextual returns err, and that ctx has ended if it has: the driver has
// words of its own for that.
func contextual(ctx context.Context, err error) error {
	ended := ctx.Err()
	if err == nil || ended == nil || errors.Is(err, ended) {
		return err
	}
	return fmt.Errorf("%w: %w", ended, err)
}
