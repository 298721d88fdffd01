package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/orchard9/rdev/auth"
)

// Limits is the auth.LimitStore of a Store.
type Limits struct {
	db   *sqlx.DB
	take *sqlx.Stmt // nil behind a pooler
}

// takeRate is auth.Rate.Take in one statement, by the server's clock: $1 is the
// key, $2 the interval in microseconds, $3 the burst, $4 how many are wanted. A
// statement that takes nothing writes nothing; what it tells of the row then is
// as it was when the statement began.
const takeRate = `WITH took AS (
		INSERT INTO rates AS r (key, whole, taken, now)
			SELECT $1::text, now + least($4::bigint, $3::bigint) * $2::bigint, least($4::bigint, $3::bigint), now
			FROM (SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS now) clock
		ON CONFLICT (key) DO UPDATE SET now = excluded.now,
			taken = least($4::bigint, (excluded.now + $3::bigint * $2::bigint - greatest(r.whole, excluded.now)) / $2::bigint),
			whole = greatest(r.whole, excluded.now) + $2::bigint * least($4::bigint, (excluded.now + $3::bigint * $2::bigint - greatest(r.whole, excluded.now)) / $2::bigint)
			WHERE greatest(r.whole, excluded.now) + $2::bigint <= excluded.now + $3::bigint * $2::bigint
		RETURNING taken, whole - now AS pending)
	SELECT taken, pending FROM took
	UNION ALL
	SELECT 0, whole - (extract(epoch FROM statement_timestamp()) * 1000000)::bigint FROM rates WHERE key = $1::text AND NOT EXISTS (SELECT FROM took)`

// Take implements auth.LimitStore.
func (l *Limits) Take(ctx context.Context, key string, rate auth.Rate, n int) (auth.Taken, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var row struct {
		Taken   int   `db:"taken"`
		Pending int64 `db:"pending"` // until the burst is whole
	}
	args := []any{key, rate.Interval().Microseconds(), rate.Burst, n}
	var err error
	if l.take != nil {
		err = l.take.GetContext(ctx, &row, args...)
	} else {
		err = l.db.GetContext(ctx, &row, takeRate, args...)
	}
	if errors.Is(err, sql.ErrNoRows) { // others have used up a burst that this statement does not see yet
		row.Pending, err = (time.Duration(rate.Burst) * rate.Interval()).Microseconds(), nil
	}
	if err != nil {
		return auth.Taken{}, failed(ctx, "take from the rate of a key", err)
	}
	return rate.Taken(row.Taken, time.Duration(row.Pending)*time.Microsecond), nil
}

// Hold implements auth.LimitStore.
func (l *Limits) Hold(ctx context.Context, holder, key string, n, most int, ttl time.Duration) (ok bool, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = l.db.GetContext(ctx, &ok, `SELECT rdev_hold($1, $2, $3, $4, $5 * interval '1 microsecond')`, holder, key, n, most, ttl.Microseconds())
	return ok, failed(ctx, "hold a place", err)
}

// Keep implements auth.LimitStore. Nobody else writes these rows.
func (l *Limits) Keep(ctx context.Context, holder string, held map[string]int, ttl time.Duration) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	keys, counts := make([]string, 0, len(held)), make([]int64, 0, len(held))
	for key, n := range held {
		keys, counts = append(keys, key), append(counts, int64(n))
	}
	_, err := l.db.ExecContext(ctx, `WITH gone AS (DELETE FROM seats WHERE holder = $1 AND key <> ALL ($2::text[]))
		INSERT INTO seats SELECT $1, key, n, clock_timestamp() + $4::bigint * interval '1 microsecond'
			FROM unnest($2::text[], $3::int[]) AS held (key, n)
		ON CONFLICT (key, holder) DO UPDATE SET n = excluded.n, until = excluded.until`,
		holder, pq.Array(keys), pq.Array(counts), ttl.Microseconds())
	return failed(ctx, "keep places", err)
}

// forgetLimits deletes what says nothing any more.
func forgetLimits(ctx context.Context, tx *sqlx.Tx) error {
	for _, statement := range []string{
		`DELETE FROM rates WHERE whole < extract(epoch FROM now() - interval '1 minute') * 1000000`,
		`DELETE FROM seats WHERE until < now() - interval '1 hour'`,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
