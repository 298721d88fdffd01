package postgres

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

// Trim does to one stream what dropping a partition does to many: it takes the
// events up to through away and says so in the stream's row.
func (s *Store) Trim(ctx context.Context, streamID string, through uint64) error {
	kept, err := (&log{db: s.db}).read(ctx, streamID, through, 1<<30)
	if err != nil {
		return err
	}
	err = inTx(ctx, s.db, "trim", func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM chunks WHERE stream_id = $1`, streamID); err != nil {
			return err
		}
		if len(kept) > 0 {
			for _, c := range chunk.Encode(kept) {
				if _, err := tx.ExecContext(ctx, `INSERT INTO chunks (stream_id, first, last, events) VALUES ($1, $2, $3, $4)`,
					streamID, int64(c.First), int64(c.Last), c.Events); err != nil {
					return err
				}
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE streams SET first = $2 WHERE id = $1`, streamID, int64(through+1))
		return err
	})
	s.hub.Advance(streamID, stream.Head{First: through + 1})
	return err
}

// Retain runs retention now.
func (s *Store) Retain(ctx context.Context) error { return s.retain(ctx) }

// DB is the pool.
func (s *Store) DB() *sqlx.DB { return s.db }

// Fall takes every connection away, as death does.
func (s *Store) Fall() error { return s.closePools() }

// Pools are the pools.
func (s *Store) Pools() []*sqlx.DB { return []*sqlx.DB{s.db, s.appends, s.notify} }

// Sleep is a statement that takes that long.
func (s *Store) Sleep(ctx context.Context, d time.Duration) error {
	_, err := s.db.ExecContext(ctx, `SELECT pg_sleep($1)`, d.Seconds())
	return failed(ctx, "sleep", err)
}
