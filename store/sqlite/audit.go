package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/orchard9/rdev/rdev"
)

// Audit is a rdev.Audit. Get one from Store.Audit, or from OpenAudit.
type Audit struct {
	read  *sqlx.DB
	write *db // nil if it only reads
	now   func() time.Time
	limit time.Duration // for a call without a deadline
}

var _ rdev.Audit = (*Audit)(nil)

const (
	selectAuditHead = `SELECT seq, at, hash, pruned_seq, pruned_hash FROM audit_head`

	updateAuditHead = `UPDATE audit_head SET seq = ?, at = ?, hash = ?`

	insertAudit = `INSERT INTO audit (seq, at, project, key_id, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?)`

	// ?1 is the project, ?2 the key, ?3 the time, ?4 and ?5 the numbers
	// between, ?6 the limit.
	auditRows = `SELECT seq, at, project, key_id, body, prev, hash FROM audit WHERE seq > ?4 AND seq < ?5
		AND (?1 = '' OR project = ?1) AND (?2 = '' OR key_id = ?2) AND at >= ?3 ORDER BY seq`

	selectOldAudit = `SELECT seq, hash FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq < (SELECT max(seq) FROM audit)
		ORDER BY seq LIMIT ?1) AND at < ?2 ORDER BY seq DESC LIMIT 1`
)

type auditRow struct {
	Seq     uint64 `db:"seq"`
	At      int64  `db:"at"`
	Project string `db:"project"`
	KeyID   string `db:"key_id"`
	Body    []byte `db:"body"`
	Prev    []byte `db:"prev"`
	Hash    []byte `db:"hash"`
}

func (r auditRow) row() rdev.AuditRow {
	return rdev.AuditRecord{
		Seq: r.Seq, Micros: r.At, Project: r.Project, KeyID: r.KeyID, Body: r.Body,
		Prev: hashOf(r.Prev), Hash: hashOf(r.Hash),
	}.Row()
}

type auditHeadRow struct {
	Seq        uint64 `db:"seq"`
	At         int64  `db:"at"`
	Hash       []byte `db:"hash"`
	PrunedSeq  uint64 `db:"pruned_seq"`
	PrunedHash []byte `db:"pruned_hash"`
}

// hashOf takes what has another length for no hash at all: nothing matches it.
func hashOf(b []byte) (h rdev.AuditHash) {
	if len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}

// appendAudit appends entries within a transaction.
func appendAudit(ctx context.Context, tx *session, now time.Time, entries []rdev.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	var head auditHeadRow
	if err := tx.GetContext(ctx, &head, selectAuditHead); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	last := rdev.AuditRecord{Seq: head.Seq, Micros: head.At, Hash: hashOf(head.Hash)}
	for _, e := range entries {
		r, err := rdev.EncodeAudit(e)
		if err != nil {
			return err
		}
		last = r.After(last, now.UnixMicro())
		if _, err := tx.ExecContext(ctx, insertAudit, int64(last.Seq), last.Micros, last.Project, last.KeyID, last.Body, last.Prev[:], last.Hash[:]); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, updateAuditHead, int64(last.Seq), last.Micros, last.Hash[:]); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

var errReadOnly = errors.New("store/sqlite: this audit log was opened for reading")

// Append implements rdev.Audit.
func (a *Audit) Append(ctx context.Context, entries ...rdev.AuditEntry) error {
	if a.write == nil {
		return errReadOnly
	}
	err := a.write.change(ctx, func(ctx context.Context, tx *session) error {
		return appendAudit(ctx, tx, a.now(), entries)
	})
	if err != nil {
		return fmt.Errorf("store/sqlite: append: %w", err)
	}
	return nil
}

// List implements rdev.Audit.
func (a *Audit) List(ctx context.Context, f rdev.AuditFilter, limit int) ([]rdev.AuditRow, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	before := int64(math.MaxInt64)
	if f.Before > 0 {
		before = signed(f.Before)
	}
	since := int64(math.MinInt64)
	if !f.Since.IsZero() {
		since = f.Since.UnixMicro()
	}
	query := auditRows + ` DESC LIMIT ?6`
	if f.OldestFirst {
		query = auditRows + ` LIMIT ?6`
	}
	var rows []auditRow
	err := a.read.SelectContext(ctx, &rows, query, f.Project, f.KeyID, since, signed(f.After), before, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: list audit: %w", contextual(ctx, err))
	}
	list := make([]rdev.AuditRow, len(rows))
	for i, r := range rows {
		list[i] = r.row()
	}
	return list, nil
}

// signed is n as SQLite has it.
func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// Head implements rdev.Audit.
func (a *Audit) Head(ctx context.Context) (rdev.AuditHead, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	var r auditHeadRow
	if err := a.read.GetContext(ctx, &r, selectAuditHead); err != nil {
		return rdev.AuditHead{}, fmt.Errorf("store/sqlite: end of audit: %w", contextual(ctx, err))
	}
	return rdev.AuditHead{Seq: r.Seq, Hash: hashOf(r.Hash), PrunedSeq: r.PrunedSeq, PrunedHash: hashOf(r.PrunedHash)}, nil
}

// Prune implements rdev.Audit.
func (a *Audit) Prune(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	if a.write == nil {
		return 0, errReadOnly
	}
	err = a.write.change(ctx, func(ctx context.Context, tx *session) error {
		removed = 0
		var last struct {
			Seq  uint64 `db:"seq"`
			Hash []byte `db:"hash"`
		}
		err := tx.GetContext(ctx, &last, selectOldAudit, limit, before.UnixMicro())
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM audit WHERE seq <= ?`, int64(last.Seq))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		removed = int(n)
		if err := appendAudit(ctx, tx, a.now(), []rdev.AuditEntry{rdev.PrunedEntry(last.Seq, hashOf(last.Hash))}); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE audit_head SET pruned_seq = ?, pruned_hash = ?`, int64(last.Seq), last.Hash)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("store/sqlite: prune audit: %w", err)
	}
	return removed, nil
}

func (a *Audit) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, a.limit)
}
