package sqlite

import (
	"context"

	"github.com/orchard9/rdev/stream"
)

// Which chunks go: each returns some, and of each stream the oldest first.
const (
	chunkColumns = `c.num, c.stream, c.last_seq, c.bytes, s.id FROM chunks c JOIN streams s ON s.num = c.stream`

	selectOldChunks = `SELECT ` + chunkColumns + ` WHERE c.num IN (
		SELECT num FROM chunks ORDER BY num LIMIT ?1) AND c.added_at < ?2 ORDER BY c.num`

	selectFinishedChunks = `SELECT ` + chunkColumns + ` WHERE c.stream = (
		SELECT num FROM streams WHERE closed = 1 AND bytes > 0 ORDER BY updated_at LIMIT 1)
		ORDER BY c.last_seq LIMIT ?1`

	selectOldestChunks = `SELECT ` + chunkColumns + ` ORDER BY c.num LIMIT ?1`

	deleteChunk = `DELETE FROM chunks WHERE num = ?`

	advanceStream = `UPDATE streams SET first = ?, bytes = bytes - ? WHERE num = ?`
)

// doomed is a chunk that is to be deleted.
type doomed struct {
	Num     int64  `db:"num"`
	Stream  int64  `db:"stream"`
	LastSeq uint64 `db:"last_seq"`
	Bytes   int64  `db:"bytes"`
	ID      string `db:"id"` // of the stream
}

// delete deletes the first of the chunks that the query selects, as many as
// make up the bytes, in one transaction, moves the beginning of their streams
// and tells their readers. It returns how many chunks there were.
func (r *retainer) delete(ctx context.Context, bytes int64, query string, args ...any) (int, error) {
	ctx, cancel := r.step(ctx)
	defer cancel()
	var chunks []doomed
	var moved []doomed // per stream: its last deleted chunk, and the bytes of all
	err := r.db.change(ctx, func(ctx context.Context, tx *session) error {
		if err := tx.SelectContext(ctx, &chunks, query, args...); err != nil {
			return err
		}
		chunks = worth(chunks, bytes)
		for _, c := range chunks {
			if _, err := tx.ExecContext(ctx, deleteChunk, c.Num); err != nil {
				return err
			}
		}
		moved = perStream(chunks)
		for _, m := range moved {
			if _, err := tx.ExecContext(ctx, advanceStream, int64(m.LastSeq+1), m.Bytes, m.Stream); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, m := range moved {
		r.broker.hub.Advance(m.ID, stream.Head{First: m.LastSeq + 1})
		r.broker.writer.account(-m.Bytes)
	}
	return len(chunks), nil
}

// worth returns the first chunks that together have the bytes.
func worth(chunks []doomed, bytes int64) []doomed {
	for i, c := range chunks {
		if bytes -= c.Bytes; bytes <= 0 {
			return chunks[:i+1]
		}
	}
	return chunks
}

func perStream(chunks []doomed) []doomed {
	at := map[int64]int{}
	var streams []doomed
	for _, c := range chunks {
		i, known := at[c.Stream]
		if !known {
			i = len(streams)
			at[c.Stream] = i
			streams = append(streams, doomed{Stream: c.Stream, ID: c.ID})
		}
		streams[i].LastSeq = max(streams[i].LastSeq, c.LastSeq)
		streams[i].Bytes += c.Bytes
	}
	return streams
}
