package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/auth"
)

// Limits is an auth.LimitStore. Get one from Store.Limits. What keys have used
// of their rate is in the file, so that a restart gives nobody a new burst.
// Places are in memory: what held them ends with the process, which has the
// file for itself.
type Limits struct {
	auth.MemoryLimits // Hold and Keep

	db *db
}

var _ auth.LimitStore = (*Limits)(nil)

const (
	selectRate = `SELECT whole FROM rates WHERE key = ?`

	storeRate = `INSERT INTO rates (key, whole) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET whole = excluded.whole`

	// forgetRates takes out a few of those that say nothing any more, so that
	// there are no more than keys in use.
	forgetRates = `DELETE FROM rates WHERE key IN (SELECT key FROM rates WHERE whole < ? LIMIT 2)`
)

// Take implements auth.LimitStore.
func (l *Limits) Take(ctx context.Context, key string, rate auth.Rate, n int) (taken auth.Taken, err error) {
	err = l.db.change(ctx, func(ctx context.Context, tx *session) error {
		var stored int64
		if err := tx.GetContext(ctx, &stored, selectRate, key); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		var whole time.Time
		whole, taken = rate.Take(time.UnixMicro(stored).UTC(), now, n)
		if taken.N == 0 {
			return nil
		}
		if _, err := tx.ExecContext(ctx, forgetRates, now.UnixMicro()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, storeRate, key, whole.UnixMicro())
		return err
	})
	if err != nil {
		return auth.Taken{}, fmt.Errorf("store/sqlite: take from the rate of key %s: %w", key, err)
	}
	return taken, nil
}
