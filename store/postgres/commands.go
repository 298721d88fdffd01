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

// Commands is the rdev.Commands of a Store.
type Commands struct {
	db  *sqlx.DB
	ttl time.Duration
}

// Insert implements rdev.Commands.
func (c *Commands) Insert(ctx context.Context, cmd rdev.Command) (rdev.Command, bool, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	cmd = normal(cmd)
	if cmd.IdempotencyKey == "" {
		if _, err := c.insert(ctx, c.db, cmd); err != nil {
			return rdev.Command{}, false, failed(ctx, "insert command", err)
		}
		return asStored(cmd), true, nil
	}
	stored, created := asStored(cmd), false
	err := inTx(ctx, c.db, "insert command", func(tx *sqlx.Tx) error {
		// A key that was forgotten is free again.
		if _, err := tx.ExecContext(ctx, `UPDATE commands SET idempotency_key = NULL
			WHERE key_id = $1 AND project = $2 AND idempotency_key = $3 AND created_at <= $4`,
			cmd.KeyID, cmd.Project, cmd.IdempotencyKey, cmd.CreatedAt.Add(-rdev.IdempotencyTTL)); err != nil {
			return err
		}
		var full error
		var err error
		created, err = c.insert(ctx, tx, cmd)
		if isFull := errors.Is(err, rdev.ErrTooManyCommands); isFull {
			full = err // unless it is a repeated request
		} else if err != nil || created {
			return err
		}
		// The insert has waited for whoever was first, so its record is there.
		var doc []byte
		err = tx.GetContext(ctx, &doc, `SELECT doc FROM commands WHERE key_id = $1 AND project = $2 AND idempotency_key = $3`,
			cmd.KeyID, cmd.Project, cmd.IdempotencyKey)
		if errors.Is(err, sql.ErrNoRows) && full != nil {
			return full
		}
		if err != nil {
			return err
		}
		stored, err = decode(doc)
		return err
	})
	if err != nil {
		return rdev.Command{}, false, err
	}
	return stored, created, nil
}

// insert reports whether the record is new; with an idempotency key it may not
// be.
func (c *Commands) insert(ctx context.Context, db sqlx.ExtContext, cmd rdev.Command) (bool, error) {
	if cmd.Gate != (rdev.Gate{}) {
		return c.insertWithin(ctx, db, cmd)
	}
	doc, err := encode(cmd)
	if err != nil {
		return false, err
	}
	onConflict := ""
	if cmd.IdempotencyKey != "" {
		onConflict = ` ON CONFLICT (key_id, project, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING`
	}
	return changeAudited(ctx, db, cmd.Audit, `INSERT INTO commands (id, project, type, state, key_id, created_at, idempotency_key, cancel, doc, owner, lease_until)
		VALUES ($1, $2, $3, $4, $5, $6, NULLIF($7, ''), $8, $9, NULLIF($10, ''), CASE WHEN $10 = '' THEN NULL ELSE now() + $11 * interval '1 microsecond' END)`+onConflict,
		cmd.ID, cmd.Project, cmd.Type, cmd.State, cmd.KeyID, cmd.CreatedAt, cmd.IdempotencyKey, !cmd.CancelRequestedAt.IsZero(), doc, cmd.Owner, c.ttl.Microseconds())
}

// Get implements rdev.Commands.
func (c *Commands) Get(ctx context.Context, id string) (rdev.Command, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	cmd, _, err := c.get(ctx, id)
	return cmd, failed(ctx, "get command", err)
}

func (c *Commands) get(ctx context.Context, id string) (cmd rdev.Command, version int64, err error) {
	var row struct {
		Doc     []byte `db:"doc"`
		Version int64  `db:"version"`
	}
	err = c.db.GetContext(ctx, &row, `SELECT doc, version FROM commands WHERE id = $1`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return rdev.Command{}, 0, rdev.ErrCommandNotFound
	}
	if err != nil {
		return rdev.Command{}, 0, err
	}
	cmd, err = decode(row.Doc)
	return cmd, row.Version, err
}

// List implements rdev.Commands.
func (c *Commands) List(ctx context.Context, f rdev.CommandFilter, limit int) ([]rdev.Command, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var where []string
	var args []any
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args))))
	}
	if f.Project != "" {
		add(`project = ?`, f.Project)
	}
	if len(f.States) > 0 {
		states := make(pq.StringArray, len(f.States))
		for i, s := range f.States {
			states[i] = string(s)
		}
		add(`state = ANY(?)`, states)
	}
	if f.Type != "" {
		add(`type = ?`, f.Type)
	}
	if f.KeyID != "" {
		add(`key_id = ?`, f.KeyID)
	}
	if f.ClaudeSession != "" {
		add(`claude_session = ?`, f.ClaudeSession)
	}
	if f.Before != "" {
		add(`id < ?`, f.Before)
	}
	query := `SELECT doc FROM commands`
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, ` AND `)
	}
	args = append(args, limit)
	var docs [][]byte
	if err := c.db.SelectContext(ctx, &docs, query+` ORDER BY id DESC LIMIT $`+strconv.Itoa(len(args)), args...); err != nil {
		return nil, failed(ctx, "list commands", err)
	}
	return decodeAll(docs)
}

// Update implements rdev.Commands. It locks nothing while change runs: if
// somebody else was quicker, it begins again.
func (c *Commands) Update(ctx context.Context, id string, change func(*rdev.Command) error) (rdev.Command, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	for {
		before, version, err := c.get(ctx, id)
		if err != nil {
			return rdev.Command{}, failed(ctx, "update command", err)
		}
		after := asStored(before) // with memory of its own: change may spoil it
		if err := change(&after); err != nil {
			return rdev.Command{}, err
		}
		after, err = rdev.CheckUpdate(before, normal(after))
		if err != nil {
			return rdev.Command{}, err
		}
		doc, err := encode(after)
		if err != nil {
			return rdev.Command{}, failed(ctx, "update command", err)
		}
		entries := after.Audit
		after.Audit = nil
		changed, err := changeAudited(ctx, c.db, entries, `UPDATE commands SET state = $3, cancel = $4, doc = $5, version = version + 1,
				ended_at = CASE WHEN $6 THEN now() END, claude_session = NULLIF($7, '')
			WHERE id = $1 AND version = $2`, id, version, after.State, !after.CancelRequestedAt.IsZero(), doc, after.State.Terminal(), after.ClaudeSession())
		if err != nil {
			return rdev.Command{}, failed(ctx, "update command", err)
		}
		if changed {
			return after, nil
		}
	}
}

// normal brings the times to the precision of the store.
func normal(cmd rdev.Command) rdev.Command {
	for _, t := range []*time.Time{&cmd.CreatedAt, &cmd.StartedAt, &cmd.EndedAt, &cmd.CancelRequestedAt, &cmd.WaitUntil} {
		if !t.IsZero() {
			*t = micros(*t)
		}
	}
	if cmd.Result != nil {
		r := *cmd.Result
		r.Started, r.Ended = micros(r.Started), micros(r.Ended)
		cmd.Result = &r
	}
	return cmd
}
