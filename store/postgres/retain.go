package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
)

const (
	partitionPrefix = "chunks_"
	partitionFormat = "20060102"
	daysAhead       = 3 // partitions made in advance
	retainInterval  = time.Hour
	retainTimeout   = time.Minute
	retainTimeouts  = `SET statement_timeout = '50s'; SET lock_timeout = '2s'`

	// retainLock is the advisory lock under which partitions are made and
	// dropped: one replica at a time.
	retainLock = 0x7264657601
)

// retainForEver makes the partitions of the coming days and drops what is too
// old.
func (s *Store) retainForEver(ctx context.Context) {
	for pause(ctx, retainInterval); ctx.Err() == nil; pause(ctx, retainInterval) {
		if err := s.retain(ctx); err != nil && ctx.Err() == nil {
			s.opts.OnError(err)
		}
	}
}

func (s *Store) retain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, retainTimeout)
	defer cancel()
	// What is deleted may be much, so this is not bound by the timeouts of
	// everyday statements.
	db, err := openPool(s.opts.ListenDSN, session{setup: retainTimeouts, binary: true, patient: true}, 1)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // the transaction has ended
	return inTx(ctx, db, "retain", func(tx *sqlx.Tx) error {
		// Whoever is first may take a while; a lock on the tables, which
		// appends would queue behind, is waited for much shorter.
		if _, err := tx.ExecContext(ctx, `SET LOCAL lock_timeout = '30s'`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(retainLock)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
			return err
		}
		var now time.Time
		if err := tx.GetContext(ctx, &now, `SELECT now()`); err != nil {
			return err
		}
		if err := makePartitions(ctx, tx, now.UTC()); err != nil {
			return err
		}
		if err := forgetLimits(ctx, tx); err != nil || s.opts.MaxAge < 0 {
			return err
		}
		return dropOlder(ctx, tx, now.UTC().Add(-s.opts.MaxAge))
	})
}

func partitions(ctx context.Context, tx *sqlx.Tx) (map[string]time.Time, error) {
	var names []string
	err := tx.SelectContext(ctx, &names, `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'chunks'::regclass`)
	if err != nil {
		return nil, err
	}
	days := make(map[string]time.Time, len(names))
	for _, name := range names {
		if day, err := time.Parse(partitionFormat, strings.TrimPrefix(name, partitionPrefix)); err == nil {
			days[name] = day
		}
	}
	return days, nil
}

func makePartitions(ctx context.Context, tx *sqlx.Tx, now time.Time) error {
	have, err := partitions(ctx, tx)
	if err != nil {
		return err
	}
	for i := range daysAhead + 1 {
		day := now.Truncate(24*time.Hour).AddDate(0, 0, i)
		name := partitionPrefix + day.Format(partitionFormat)
		if _, ok := have[name]; ok {
			continue
		}
		// A statement of this kind takes no parameters; these are dates.
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`CREATE TABLE %s PARTITION OF chunks FOR VALUES FROM ('%s') TO ('%s')`,
			name, day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339)))
		if err != nil {
			return err
		}
	}
	return nil
}

// dropOlder drops the days that ended before cutoff, whole, after it has
// recorded in each stream which events are gone; and the records and streams of
// that time.
func dropOlder(ctx context.Context, tx *sqlx.Tx, cutoff time.Time) error {
	days, err := partitions(ctx, tx)
	if err != nil {
		return err
	}
	for name, day := range days {
		if day.AddDate(0, 0, 1).After(cutoff) {
			continue
		}
		for _, statement := range []string{
			`UPDATE streams s SET first = greatest(s.first, gone.last + 1)
				FROM (SELECT stream_id, max(last) AS last FROM ` + name + ` GROUP BY stream_id) gone WHERE s.id = gone.stream_id`,
			`DROP TABLE ` + name,
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	for _, statement := range []string{
		`DELETE FROM commands WHERE ended_at < $1`,
		// Not while a part of its output is there: a stream that is unknown
		// is an empty one.
		`DELETE FROM streams WHERE created_at < $1 AND closed AND first > head AND NOT EXISTS (SELECT FROM commands WHERE commands.id = streams.id)`,
	} {
		if _, err := tx.ExecContext(ctx, statement, cutoff); err != nil {
			return err
		}
	}
	return nil
}
