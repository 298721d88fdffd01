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

// readChunks is how many chunks one query returns at most. A chunk is a batch
// that was published, or a part of it: from one event to about chunk.Bytes.
const readChunks = 512

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

// selectChunks selects about as many bytes as are asked for, as they are stored,
// from the chunk that holds the event on. The size of a value is known without
// reading it.
const selectChunks = `SELECT first, last, events FROM (
	SELECT first, last, events, sum(octet_length(events)) OVER (ORDER BY first) - octet_length(events) AS before
	FROM chunks
	WHERE stream_id = $1 AND first >= COALESCE((SELECT max(first) FROM chunks WHERE stream_id = $1 AND first <= $2), 0)
	ORDER BY first LIMIT $3) AS page
WHERE before < $4 ORDER BY first`

func (l *log) read(ctx context.Context, streamID string, after uint64, maxBytes int) ([]stream.Event, error) {
	rows, err := l.db.QueryContext(ctx, selectChunks, streamID, int64(after+1), readChunks, maxBytes)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []stream.Event
	bytes := 0
	for rows.Next() {
		var c chunk.Chunk
		if err := rows.Scan(&c.First, &c.Last, &c.Events); err != nil {
			return nil, err
		}
		if len(events) > 0 && c.First != events[len(events)-1].Seq+1 {
			break // a partition in between is gone; the next read tells the gap
		}
		known := len(events)
		if events, err = chunk.Decode(events, c, after); err != nil {
			return nil, err
		}
		for _, e := range events[known:] {
			bytes += len(e.Data)
		}
		if bytes >= 2*maxBytes { // packed small: what else the query found is left
			break
		}
	}
	if err := rows.Err(); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return events, nil
}
