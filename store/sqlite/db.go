package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite" // registers the driver
)

// db is the connections to the file: one that writes, some that read.
type db struct {
	write   *sqlx.DB // of the one connection that writes
	session *session // that connection, for who has put a token into turn
	turn    chan struct{}
	read    *sqlx.DB
	timeout time.Duration

	checkpoints *checkpointer
}

func writerDSN(path string, patience time.Duration) string {
	return dsn(path, patience, url.Values{
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

func readerDSN(path string, patience time.Duration) string {
	return dsn(path, patience, url.Values{"mode": {"ro"}, "_query_only": {"1"}})
}

// dsn has a connection wait so long for a lock that another process holds.
func dsn(path string, patience time.Duration, values url.Values) string {
	values.Set("_busy_timeout", strconv.FormatInt(max(1, patience.Milliseconds()), 10))
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

// begin takes the connection that writes out of its pool.
func (d *db) begin(ctx context.Context) error {
	conn, err := d.write.Connx(ctx)
	if err != nil {
		return err
	}
	d.session = &session{conn: conn, prepared: map[string]*sqlx.Stmt{}}
	return nil
}

// use gives f the connection that writes, when it is its turn.
func (d *db) use(ctx context.Context, f func(context.Context, *session) error) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return contextual(ctx, f(ctx, d.session))
}

// change runs f in a transaction. The deadline is that of the wait for its turn,
// as no other process is to hold a lock; of one that does, busy_timeout bounds it.
// f gets a context that does not end, because for every statement under one that
// may, the driver starts a goroutine, which takes longer than the statement. What
// f does has to be short. Once ctx has ended, nothing is committed.
func (d *db) change(ctx context.Context, f func(context.Context, *session) error) error {
	return d.use(ctx, func(ctx context.Context, s *session) error {
		endless := context.WithoutCancel(ctx)
		if _, err := s.ExecContext(endless, `BEGIN IMMEDIATE`); err != nil {
			return err
		}
		committed := false
		defer func() {
			if !committed {
				_, _ = s.ExecContext(endless, `ROLLBACK`) // it may have been rolled back already
			}
		}()
		if err := f(endless, s); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := s.ExecContext(endless, `COMMIT`)
		committed = err == nil
		return err
	})
}

func (d *db) close() error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	var err error
	if d.session != nil {
		err = d.session.close()
	}
	// The last to go does a whole checkpoint and removes the WAL, which a
	// connection that may only read cannot.
	return errors.Join(err, d.read.Close(), d.checkpoints.close(), d.write.Close())
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
