package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

const selectChunks = `SELECT first_seq, last_seq, events FROM chunks
	WHERE stream = (SELECT num FROM streams WHERE id = ?) AND last_seq > ? ORDER BY last_seq`

// eventCost is what an event is counted as beside its data, as in stream.Hub.
const eventCost = 64

// eventLog is the stream.Log behind the hub.
type eventLog struct {
	db          *db
	tip, chunks *sql.Stmt // selectTip and selectChunks; the connections that read close them
}

func newEventLog(ctx context.Context, db *db) (*eventLog, error) {
	tip, err := db.read.PrepareContext(ctx, selectTip)
	if err != nil {
		return nil, err
	}
	chunks, err := db.read.PrepareContext(ctx, selectChunks)
	return &eventLog{db: db, tip: tip, chunks: chunks}, err
}

// Head implements stream.Log.
func (l *eventLog) Head(ctx context.Context, id string) (stream.Head, error) {
	ctx, cancel := l.db.bounded(ctx)
	defer cancel()
	head, err := l.head(ctx, id)
	if err != nil {
		return stream.Head{}, fmt.Errorf("store/sqlite: head of %s: %w", id, contextual(ctx, err))
	}
	return head, nil
}

func (l *eventLog) head(ctx context.Context, id string) (stream.Head, error) {
	row, err := scanHead(l.tip.QueryRowContext(ctx, id))
	if errors.Is(err, sql.ErrNoRows) {
		return stream.Head{First: 1}, nil
	}
	return row.head, err
}

// Read implements stream.Log.
func (l *eventLog) Read(ctx context.Context, id string, after uint64, maxBytes int) ([]stream.Event, error) {
	if after > math.MaxInt64 {
		return nil, nil
	}
	ctx, cancel := l.db.bounded(ctx)
	defer cancel()
	events, err := l.read(ctx, id, after, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: read %s after %d: %w", id, after, contextual(ctx, err))
	}
	if len(events) > 0 && events[0].Seq == after+1 {
		return events, nil
	}
	// What was asked for is gone, or is not there yet. Retention may have taken
	// it just now, so this is asked second.
	head, err := l.head(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: read %s after %d: %w", id, after, contextual(ctx, err))
	}
	if head.First > after+1 {
		return nil, &stream.GapError{From: after + 1, To: head.First - 1, Reason: stream.GapRetention}
	}
	return events, nil
}

// read returns the events behind after up to the end of the chunk that
// reaches maxBytes: to cut a chunk would only have it read again.
func (l *eventLog) read(ctx context.Context, id string, after uint64, maxBytes int) (events []stream.Event, err error) {
	rows, err := l.chunks.QueryContext(ctx, id, int64(after))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for bytes := 0; (len(events) == 0 || bytes < maxBytes) && rows.Next(); {
		var c chunk.Chunk
		if err := rows.Scan(&c.First, &c.Last, &c.Events); err != nil {
			return nil, err
		}
		known := len(events)
		if events, err = chunk.Decode(events, c, after); err != nil {
			return nil, err
		}
		for _, e := range events[known:] {
			bytes += len(e.Data) + eventCost
		}
	}
	return events, rows.Err()
}
