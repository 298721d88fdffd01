package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/rdev"
)

// Commands is a rdev.Commands. Get one from Store.Commands.
type Commands struct {
	db  *db
	now func() time.Time // of the audit log
	get *sql.Stmt        // selectCommand, of connections that read; they close it
}

func newCommands(ctx context.Context, db *db, now func() time.Time) (*Commands, error) {
	get, err := db.read.PrepareContext(ctx, selectCommand)
	return &Commands{db: db, now: now, get: get}, err
}

var (
	_ rdev.Commands = (*Commands)(nil)
	_ rdev.Queue    = (*Commands)(nil)
)

const (
	selectCommand = `SELECT body FROM commands WHERE id = ?`

	selectRepeated = `SELECT body FROM commands
		WHERE key_id = ? AND project = ? AND idempotency_key = ? AND idempotency_key <> '' AND created_at > ?
		ORDER BY created_at DESC LIMIT 1`

	insertCommand = `INSERT INTO commands (id, project, type, state, key_id, created_at, ended_at, idempotency_key, turn, gate, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	updateCommand = `UPDATE commands SET state = ?, ended_at = ?, claude_session = ?, body = ? WHERE id = ?`
)

// Each list goes by another index. ?1 is the project, ?2 the states as a JSON
// array, ?3 what ids are below, ?4 the type, ?5 the key, ?6 the limit, ?7 the
// session of claude.
const (
	listByProject = `SELECT body FROM commands WHERE project = ?1` +
		` AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))` + listRest
	listByState = `SELECT body FROM commands WHERE (?1 = '' OR project = ?1)` +
		` AND state IN (SELECT value FROM json_each(?2))` + listRest
	listBySession = `SELECT body FROM commands WHERE claude_session = ?7 AND claude_session <> '' AND (?1 = '' OR project = ?1)` +
		` AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))` + listRest
	listByID = `SELECT body FROM commands WHERE (?1 = '' OR project = ?1)` +
		` AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))` + listRest

	listRest = ` AND id < ?3 AND (?4 = '' OR type = ?4) AND (?5 = '' OR key_id = ?5) AND (?7 = '' OR claude_session = ?7) ORDER BY id DESC LIMIT ?6`

	// aboveAllIDs stands for a filter without Before.
	aboveAllIDs = "\U0010FFFF"
)

// Insert implements rdev.Commands.
func (s *Commands) Insert(ctx context.Context, c rdev.Command) (result rdev.Command, created bool, err error) {
	body, err := encodeRecord(c)
	if err != nil {
		return rdev.Command{}, false, fmt.Errorf("store/sqlite: insert command %s: %w", c.ID, err)
	}
	gate, err := encodeGate(c.Gate)
	if err != nil {
		return rdev.Command{}, false, fmt.Errorf("store/sqlite: insert command %s: %w", c.ID, err)
	}
	err = s.db.change(ctx, func(ctx context.Context, tx *session) error {
		if c.IdempotencyKey != "" {
			since := c.CreatedAt.Add(-rdev.IdempotencyTTL).UnixMicro()
			err := tx.GetContext(ctx, &body, selectRepeated, c.KeyID, c.Project, c.IdempotencyKey, since)
			if !errors.Is(err, sql.ErrNoRows) {
				return err // nil if the request was made before
			}
		}
		turn, err := takeTurn(ctx, tx, c)
		if err != nil {
			return err
		}
		created = true
		_, err = tx.ExecContext(ctx, insertCommand, c.ID, c.Project, string(c.Type), string(c.State), c.KeyID,
			c.CreatedAt.UnixMicro(), micros(c.EndedAt), c.IdempotencyKey, turn, gate, body)
		if err != nil {
			return err
		}
		return appendAudit(ctx, tx, s.now(), c.Audit)
	})
	if err == nil {
		result, err = decodeRecord(body)
	}
	if err != nil {
		return rdev.Command{}, false, fmt.Errorf("store/sqlite: insert command %s: %w", c.ID, err)
	}
	return result, created, nil
}

// Get implements rdev.Commands.
func (s *Commands) Get(ctx context.Context, id string) (rdev.Command, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	c, err := loadCommand(s.get.QueryRowContext(ctx, id))
	if err != nil {
		return rdev.Command{}, fmt.Errorf("store/sqlite: get command %s: %w", id, contextual(ctx, err))
	}
	return c, nil
}

// List implements rdev.Commands.
func (s *Commands) List(ctx context.Context, filter rdev.CommandFilter, limit int) ([]rdev.Command, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	list, err := s.list(ctx, filter, max(limit, 0)) // SQLite takes a negative limit for none
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: list commands: %w", contextual(ctx, err))
	}
	return list, nil
}

func (s *Commands) list(ctx context.Context, filter rdev.CommandFilter, limit int) ([]rdev.Command, error) {
	states, err := json.Marshal(append([]rdev.State{}, filter.States...))
	if err != nil {
		return nil, err
	}
	before := filter.Before
	if before == "" {
		before = aboveAllIDs
	}
	query := listByID
	switch {
	case filter.ClaudeSession != "":
		query = listBySession
	case filter.Project != "":
		query = listByProject
	case len(filter.States) > 0:
		query = listByState
	}
	var bodies [][]byte
	err = s.db.read.SelectContext(ctx, &bodies, query,
		filter.Project, string(states), before, string(filter.Type), filter.KeyID, limit, filter.ClaudeSession)
	if err != nil {
		return nil, err
	}
	list := make([]rdev.Command, len(bodies))
	for i, body := range bodies {
		if list[i], err = decodeRecord(body); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Update implements rdev.Commands. change must not use the Store. What an ended
// record loses is overwritten in the file; the WAL beside it has it until its
// next round.
func (s *Commands) Update(ctx context.Context, id string, change func(*rdev.Command) error) (rdev.Command, error) {
	var after rdev.Command
	var refused error
	err := s.db.change(ctx, func(ctx context.Context, tx *session) error {
		before, err := loadCommand(tx.QueryRowContext(ctx, selectCommand, id))
		if err != nil {
			return err
		}
		after = before // change may write into what they share; it is not used again
		if refused = change(&after); refused != nil {
			return refused
		}
		if after, err = rdev.CheckUpdate(before, after); err != nil {
			return err
		}
		entries := after.Audit
		body, err := encodeRecord(after)
		if err != nil {
			return err
		}
		if after, err = decodeRecord(body); err != nil {
			return err
		}
		if after.State.Terminal() {
			// The pages that the secrets took are overwritten, not only freed.
			if _, err := tx.conn.ExecContext(ctx, `PRAGMA secure_delete = on`); err != nil {
				return err
			}
			defer func() { _, _ = tx.conn.ExecContext(ctx, `PRAGMA secure_delete = fast`) }()
		}
		_, err = tx.ExecContext(ctx, updateCommand, string(after.State), micros(after.EndedAt), after.ClaudeSession(), body, id)
		if err != nil {
			return err
		}
		return appendAudit(ctx, tx, s.now(), entries)
	})
	if refused != nil {
		return rdev.Command{}, refused
	}
	if err != nil {
		return rdev.Command{}, fmt.Errorf("store/sqlite: update command %s: %w", id, err)
	}
	return after, nil
}

// loadCommand decodes what selectCommand returned.
func loadCommand(row scanner) (rdev.Command, error) {
	var body []byte
	err := row.Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return rdev.Command{}, rdev.ErrCommandNotFound
	}
	if err != nil {
		return rdev.Command{}, err
	}
	return decodeRecord(body)
}
