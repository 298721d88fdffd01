package postgres

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/orchard9/rdev/rdev"
)

// Audit is the rdev.Audit of a Store. All replicas build one chain: whoever
// appends holds a lock until its transaction has ended.
type Audit struct {
	db *sqlx.DB
}

var _ rdev.Audit = (*Audit)(nil)

// auditArgs are the arguments of audit_append.
type auditArgs struct {
	projects, keys pq.StringArray
	bodies         pq.ByteaArray
}

func newAuditArgs(entries []rdev.AuditEntry) (a auditArgs, err error) {
	for _, e := range entries {
		r, err := rdev.EncodeAudit(e)
		if err != nil {
			return auditArgs{}, err
		}
		a.projects, a.keys, a.bodies = append(a.projects, r.Project), append(a.keys, r.KeyID), append(a.bodies, r.Body)
	}
	return a, nil
}

// changeAudited runs a statement that changes one row and returns something,
// and appends the entries if it does: in one round trip, and the lock on the
// chain is held for no other. It reports whether there was a row.
func changeAudited(ctx context.Context, db sqlx.QueryerContext, entries []rdev.AuditEntry, statement string, args ...any) (changed bool, err error) {
	query := `WITH changed AS (` + statement + ` RETURNING 1) SELECT 1 FROM changed`
	if len(entries) > 0 {
		audit, err := newAuditArgs(entries)
		if err != nil {
			return false, err
		}
		n := len(args)
		query = `WITH changed AS (` + statement + ` RETURNING 1) SELECT audit_append($` + strconv.Itoa(n+1) + `, $` + strconv.Itoa(n+2) + `, $` + strconv.Itoa(n+3) + `) FROM changed`
		args = append(args, audit.projects, audit.keys, audit.bodies)
	}
	var seq int64
	err = sqlx.GetContext(ctx, db, &seq, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Append implements rdev.Audit.
func (a *Audit) Append(ctx context.Context, entries ...rdev.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	args, err := newAuditArgs(entries)
	if err != nil {
		return err
	}
	_, err = a.db.ExecContext(ctx, `SELECT audit_append($1, $2, $3)`, args.projects, args.keys, args.bodies)
	return failed(ctx, "append to audit", err)
}

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

// hashOf takes what has another length for no hash at all: nothing matches it.
func hashOf(b []byte) (h rdev.AuditHash) {
	if len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}

// List implements rdev.Audit.
func (a *Audit) List(ctx context.Context, f rdev.AuditFilter, limit int) ([]rdev.AuditRow, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var args []any
	arg := func(value any) string {
		args = append(args, value)
		return "$" + strconv.Itoa(len(args))
	}
	where := []string{`seq > ` + arg(int64(f.After))}
	if f.Before > 0 {
		where = append(where, `seq < `+arg(int64(f.Before)))
	}
	if f.Project != "" {
		where = append(where, `project = `+arg(f.Project))
	}
	if f.KeyID != "" {
		where = append(where, `key_id = `+arg(f.KeyID))
	}
	if !f.Since.IsZero() {
		where = append(where, `at >= `+arg(f.Since.UnixMicro()))
	}
	order := ` ORDER BY seq DESC`
	if f.OldestFirst {
		order = ` ORDER BY seq`
	}
	var rows []auditRow
	err := a.db.SelectContext(ctx, &rows, `SELECT seq, at, project, key_id, body, prev, hash FROM audit WHERE `+
		strings.Join(where, ` AND `)+order+` LIMIT `+arg(max(limit, 0)), args...)
	if err != nil {
		return nil, failed(ctx, "list audit", err)
	}
	list := make([]rdev.AuditRow, len(rows))
	for i, r := range rows {
		list[i] = r.row()
	}
	return list, nil
}

// Head implements rdev.Audit.
func (a *Audit) Head(ctx context.Context) (rdev.AuditHead, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var r struct {
		Seq        uint64 `db:"seq"`
		Hash       []byte `db:"hash"`
		PrunedSeq  uint64 `db:"pruned_seq"`
		PrunedHash []byte `db:"pruned_hash"`
	}
	if err := a.db.GetContext(ctx, &r, `SELECT seq, hash, pruned_seq, pruned_hash FROM audit_head`); err != nil {
		return rdev.AuditHead{}, failed(ctx, "end of audit", err)
	}
	return rdev.AuditHead{Seq: r.Seq, Hash: hashOf(r.Hash), PrunedSeq: r.PrunedSeq, PrunedHash: hashOf(r.PrunedHash)}, nil
}

// Prune implements rdev.Audit.
func (a *Audit) Prune(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = inTx(ctx, a.db, "prune audit", func(tx *sqlx.Tx) error {
		// Whoever appends or prunes waits, so that what is removed is what the
		// new row says.
		if _, err := tx.ExecContext(ctx, `SELECT FROM audit_head FOR UPDATE`); err != nil {
			return err
		}
		var last struct {
			Seq  uint64 `db:"seq"`
			Hash []byte `db:"hash"`
		}
		err := tx.GetContext(ctx, &last, `SELECT seq, hash FROM (SELECT seq, hash, at FROM audit WHERE seq < (SELECT seq FROM audit_head)
			ORDER BY seq LIMIT $1) AS oldest WHERE at < $2 ORDER BY seq DESC LIMIT 1`, limit, before.UnixMicro())
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM audit WHERE seq <= $1`, int64(last.Seq))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		removed = int(n)
		if _, err := tx.ExecContext(ctx, `UPDATE audit_head SET pruned_seq = $1, pruned_hash = $2`, int64(last.Seq), last.Hash); err != nil {
			return err
		}
		args, err := newAuditArgs([]rdev.AuditEntry{rdev.PrunedEntry(last.Seq, hashOf(last.Hash))})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `SELECT audit_append($1, $2, $3)`, args.projects, args.keys, args.bodies)
		return err
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}
