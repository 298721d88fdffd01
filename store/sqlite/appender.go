package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

const (
	selectTip = `SELECT num, first, head, terminal, closed FROM streams WHERE id = ?`

	insertStream = `INSERT INTO streams (id, first, head, terminal, closed, bytes, updated_at)
		VALUES (?, 1, ?, ?, ?, ?, ?)`

	updateStream = `UPDATE streams SET head = ?, terminal = ?, closed = ?, bytes = bytes + ?, updated_at = ?
		WHERE num = ?`

	insertChunk = `INSERT INTO chunks (stream, first_seq, last_seq, added_at, bytes, events) VALUES (?, ?, ?, ?, ?, ?)`
)

// tip is the end of a stream within a transaction.
type tip struct {
	num     int64 // zero as long as the stream has no row
	id      string
	head    stream.Head
	changed bool
	added   int64 // bytes of chunks
}

// appending is what appends to streams within one transaction.
type appending struct {
	ctx context.Context
	tx  *session
}

// load reads the end of a stream, which may have no row yet.
func (a *appending) load(id string) (tip, error) {
	row, err := scanHead(a.tx.QueryRowContext(a.ctx, selectTip, id))
	if errors.Is(err, sql.ErrNoRows) {
		return tip{id: id, head: stream.Head{First: 1}}, nil
	}
	return tip{id: id, num: row.num, head: row.head}, err
}

// apply does a request, or sets its err. It returns the bytes that were added.
// The row of the stream is left to finish.
func (a *appending) apply(t *tip, r *request, now int64) (added int64, err error) {
	if r.end {
		t.changed = t.changed || !t.head.Closed
		t.head.Closed = true
		r.head = t.head
		return 0, a.ensure(t, now)
	}
	if r.fresh, r.err = t.head.Fresh(r.events); r.err != nil || len(r.fresh) == 0 {
		return 0, nil
	}
	chunks := r.chunks
	if len(r.fresh) < len(r.events) { // another owner was ahead
		chunks = chunk.Encode(r.fresh)
	}
	for _, c := range chunks {
		added += int64(len(c.Events))
	}
	t.head = t.head.After(r.fresh)
	t.added += added
	t.changed = true
	if err := a.ensure(t, now); err != nil {
		return 0, err
	}
	for _, c := range chunks {
		if _, err := a.tx.ExecContext(a.ctx, insertChunk, t.num, int64(c.First), int64(c.Last), now, len(c.Events), c.Events); err != nil {
			return 0, err
		}
	}
	return added, nil
}

// ensure gives the stream a row that says what t does, unless it has one.
func (a *appending) ensure(t *tip, now int64) error {
	if t.num != 0 {
		return nil
	}
	result, err := a.tx.ExecContext(a.ctx, insertStream, t.id, int64(t.head.Seq), t.head.Terminal, t.head.Closed, t.added, now)
	if err != nil {
		return err
	}
	t.num, err = result.LastInsertId()
	t.changed, t.added = false, 0
	return err
}

// finish brings the row of the stream up to date, once a transaction.
func (a *appending) finish(t *tip, now int64) error {
	if !t.changed {
		return nil
	}
	_, err := a.tx.ExecContext(a.ctx, updateStream, int64(t.head.Seq), t.head.Terminal, t.head.Closed, t.added, now, t.num)
	return err
}

// headRow is the row of a stream.
type headRow struct {
	num  int64
	head stream.Head
}

func scanHead(row scanner) (headRow, error) {
	var r headRow
	err := row.Scan(&r.num, &r.head.First, &r.head.Seq, &r.head.Terminal, &r.head.Closed)
	return r, err
}
