package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

// Migrator returns what changes the schema of a file.
func Migrator(t testing.TB, path string) (*goose.Provider, error) {
	pool, err := openPool(t.Context(), writerDSN(path, time.Second), 1)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = pool.Close() })
	return migrator(pool.DB)
}

// Writer returns the connection that writes.
func (s *Store) Writer() *sqlx.Conn { return s.db.session.conn }

// Hold has everybody else wait for the connection that writes, until release.
func (s *Store) Hold() (release func()) {
	s.db.turn <- struct{}{}
	return func() { <-s.db.turn }
}

// SomebodyWrites says whether a goroutine has the connection that writes, or
// waits for it.
func SomebodyWrites() bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("sqlite.(*db).use("))
}

// Trim drops the events of a stream up to and with through, as retention does,
// which drops whole chunks: the one that through lies in is cut in two before.
func (s *Store) Trim(ctx context.Context, id string, through uint64) error {
	if err := s.cut(ctx, id, through); err != nil {
		return err
	}
	const query = `SELECT ` + chunkColumns + ` WHERE s.id = ?2 AND c.last_seq <= ?3 ORDER BY c.num LIMIT ?1`
	_, err := s.retainer.delete(ctx, math.MaxInt64, query, math.MaxInt32, id, int64(through))
	return err
}

func (s *Store) cut(ctx context.Context, id string, through uint64) error {
	return s.db.change(ctx, func(ctx context.Context, tx *session) error {
		const query = `SELECT c.num, c.stream, c.first_seq, c.last_seq, c.added_at, c.events FROM chunks c
			JOIN streams s ON s.num = c.stream WHERE s.id = ?1 AND c.first_seq <= ?2 AND c.last_seq > ?2`
		var num, owner, at int64
		var c chunk.Chunk
		err := tx.QueryRowContext(ctx, query, id, int64(through)).Scan(&num, &owner, &c.First, &c.Last, &at, &c.Events)
		if err == sql.ErrNoRows {
			return nil
		}
		if err != nil {
			return err
		}
		events, err := chunk.Decode(nil, c, 0)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, deleteChunk, num); err != nil {
			return err
		}
		n := int(through - c.First + 1)
		for _, part := range [][]stream.Event{events[:n], events[n:]} {
			for _, c := range chunk.Encode(part) {
				if _, err := tx.ExecContext(ctx, insertChunk, owner, int64(c.First), int64(c.Last), at, len(c.Events), c.Events); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
