package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

// readBytes is about how much a reader of the log takes at a time.
const readBytes = 256 << 10

// readChunks is how many chunks one query returns at most. Chunks are as large
// as the batches that were published: from one event to maxChunk.
const readChunks = 64

// log is the durable log behind the Hub.
type log struct {
	db *sqlx.DB
}

var _ stream.Log = (*log)(nil)

type headRow struct {
	ID       string `db:"id"`
	First    uint64 `db:"first"`
	Head     uint64 `db:"head"`
	Terminal bool   `db:"terminal"`
	Closed   bool   `db:"closed"`
}

func (r headRow) head() stream.Head {
	return stream.Head{First: r.First, Seq: r.Head, Terminal: r.Terminal, Closed: r.Closed}
}

// Head implements stream.Log.
func (l *log) Head(ctx context.Context, streamID string) (stream.Head, error) {
	heads, err := l.heads(ctx, []string{streamID})
	if err != nil {
		return stream.Head{}, err
	}
	if head, ok := heads[streamID]; ok {
		return head, nil
	}
	return stream.Head{First: 1}, nil
}

// heads returns the ends of the streams that exist.
func (l *log) heads(ctx context.Context, ids []string) (map[string]stream.Head, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var rows []headRow
	err := l.db.SelectContext(ctx, &rows, `SELECT id, first, head, terminal, closed FROM streams WHERE id = ANY($1)`, pq.Array(ids))
	if err != nil {
		return nil, failed(ctx, "read ends of streams", err)
	}
	heads := make(map[string]stream.Head, len(rows))
	for _, r := range rows {
		heads[r.ID] = r.head()
	}
	return heads, nil
}

// Read implements stream.Log.
func (l *log) Read(ctx context.Context, streamID string, after uint64, maxBytes int) ([]stream.Event, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	events, err := l.read(ctx, streamID, after, maxBytes)
	if err != nil {
		return nil, failed(ctx, "read stream", err)
	}
	if len(events) > 0 && events[0].Seq == after+1 {
		return events, nil
	}
	head, err := l.Head(ctx, streamID)
	if err != nil {
		return nil, err
	}
	if head.First > after+1 {
		return nil, &stream.GapError{From: after + 1, To: head.First - 1, Reason: stream.GapRetention}
	}
	return events, nil
}

func (l *log) read(ctx context.Context, streamID string, after uint64, maxBytes int) ([]stream.Event, error) {
	// The first chunk is the one that holds after+1.
	rows, err := l.db.QueryContext(ctx, `SELECT first, events FROM chunks
		WHERE stream_id = $1 AND first >= COALESCE((SELECT max(first) FROM chunks WHERE stream_id = $1 AND first <= $2), 0)
		ORDER BY first LIMIT $3`, streamID, int64(after+1), readChunks)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []stream.Event
	for bytes := 0; bytes < maxBytes && rows.Next(); {
		var first uint64
		var packed []byte
		if err := rows.Scan(&first, &packed); err != nil {
			return nil, err
		}
		found, err := chunk.Decode(packed, first)
		if err != nil {
			return nil, err
		}
		for len(found) > 0 && found[0].Seq <= after {
			found = found[1:]
		}
		if len(events) > 0 && len(found) > 0 && found[0].Seq != events[len(events)-1].Seq+1 {
			break // a partition in between is gone; the next read tells the gap
		}
		events = append(events, found...)
		bytes += len(packed)
	}
	if err := rows.Err(); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return events, nil
}
