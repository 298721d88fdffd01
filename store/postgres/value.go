package postgres

import (
	"context"
	"database/sql"
	"time"

	"github.com/jmoiron/sqlx"
)

// micros is the precision of Postgres.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func nullTime(t time.Time) sql.NullTime {
	return sql.NullTime{Time: micros(t), Valid: !t.IsZero()}
}

func timeOf(t sql.NullTime) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// inTx runs f in a transaction.
func inTx(ctx context.Context, db *sqlx.DB, op string, f func(*sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return failed(ctx, op, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the connection is dropped if that fails
		return failed(ctx, op, err)
	}
	return failed(ctx, op, tx.Commit())
}
