package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/lib/pq"
)

// appendSQL appends a batch of chunks to each stream that ends where the batch
// begins, and returns those streams. A stream's row is made by its first batch.
// The rows are locked in the order of their ids, so that two replicas cannot
// block each other.
//
// The chunks come as one value, which they are cut out of: in an array each
// would be written as text and parsed, which takes longer than all the rest.
const appendSQL = `
WITH batch AS (
	SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::boolean[]) AS b (id, first, last, terminal)
), grown AS (
	INSERT INTO streams AS s (id, last_chunk, head, terminal, closed)
	SELECT id, first, last, terminal, terminal FROM batch
	WHERE first = 1 OR EXISTS (SELECT FROM streams WHERE streams.id = batch.id)
	ORDER BY id
	ON CONFLICT (id) DO UPDATE SET last_chunk = excluded.last_chunk, head = excluded.head, terminal = excluded.terminal, closed = excluded.closed
	WHERE s.head = excluded.last_chunk - 1 AND NOT s.closed
	RETURNING id
), kept AS (
	INSERT INTO chunks (stream_id, first, last, events)
	SELECT c.id, c.first, c.last, substring($10::bytea FROM c.start FOR c.size)
	FROM unnest($5::text[], $6::bigint[], $7::bigint[], $8::int[], $9::int[]) AS c (id, first, last, start, size)
	JOIN grown USING (id)
)
SELECT id FROM grown`

// grow appends the batches, of one stream each, and says which streams took
// theirs.
func (p *publisher) grow(ctx context.Context, batches []*appending) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	slices.SortFunc(batches, func(a, b *appending) int { return cmp.Compare(a.streamID, b.streamID) })
	var ids, owners []string
	var firsts, lasts, from, to, starts, sizes []int64
	var terminal []bool
	var blob []byte
	for _, a := range batches {
		ids, firsts, lasts = append(ids, a.streamID), append(firsts, int64(a.first())), append(lasts, int64(a.last()))
		terminal = append(terminal, a.terminal)
		for _, c := range a.chunks {
			owners, from, to = append(owners, a.streamID), append(from, int64(c.First)), append(to, int64(c.Last))
			starts, sizes = append(starts, int64(len(blob)+1)), append(sizes, int64(len(c.Events)))
			blob = append(blob, c.Events...)
		}
	}
	var streams []string
	err := p.db.SelectContext(ctx, &streams, appendSQL, pq.Array(ids), pq.Array(firsts), pq.Array(lasts), pq.Array(terminal),
		pq.Array(owners), pq.Array(from), pq.Array(to), pq.Array(starts), pq.Array(sizes), blob)
	if err != nil {
		return nil, failed(ctx, "append", err)
	}
	grown := make(map[string]bool, len(streams))
	for _, id := range streams {
		grown[id] = true
	}
	return grown, nil
}
