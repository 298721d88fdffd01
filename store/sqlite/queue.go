package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orchard9/rdev/rdev"
)

const (
	selectSeats = `SELECT id, project, key_id, turn, gate FROM commands WHERE state IN ('queued', 'running')`

	admitCommand = `UPDATE commands SET turn = 0 WHERE id = ?`
)

// encodeGate returns the numbers of a gate, in the order of its fields.
func encodeGate(g rdev.Gate) (string, error) {
	b, err := json.Marshal([4]int{g.Project, g.Key, g.KeyInProject, g.Queue})
	return string(b), err
}

// takeTurn applies the gate of a new record, in the transaction that inserts it.
func takeTurn(ctx context.Context, tx *session, c rdev.Command) (turn int64, err error) {
	if c.Gate == (rdev.Gate{}) {
		return 0, nil
	}
	seats, err := loadSeats(ctx, tx)
	if err != nil {
		return 0, err
	}
	return c.Gate.Check(c, seats)
}

// Admit implements rdev.Queue.
func (s *Commands) Admit(ctx context.Context, ids []string) (places []rdev.Place, err error) {
	err = s.db.change(ctx, func(ctx context.Context, tx *session) error {
		seats, err := loadSeats(ctx, tx)
		if err != nil {
			return err
		}
		asked := make(map[string]bool, len(ids))
		for _, id := range ids {
			asked[id] = true
		}
		var projects []string
		for _, seat := range seats {
			if asked[seat.ID] {
				projects = append(projects, seat.Project)
			}
		}
		for _, id := range rdev.Admit(seats, projects) {
			if _, err := tx.ExecContext(ctx, admitCommand, id); err != nil {
				return err
			}
		}
		places = rdev.Places(seats, ids)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: admit commands: %w", err)
	}
	return places, nil
}

// loadSeats returns the unfinished records.
func loadSeats(ctx context.Context, tx *session) ([]rdev.Seat, error) {
	var rows []struct {
		ID      string `db:"id"`
		Project string `db:"project"`
		KeyID   string `db:"key_id"`
		Turn    int64  `db:"turn"`
		Gate    string `db:"gate"`
	}
	if err := tx.SelectContext(ctx, &rows, selectSeats); err != nil {
		return nil, err
	}
	seats := make([]rdev.Seat, len(rows))
	for i, r := range rows {
		var g [4]int
		if err := json.Unmarshal([]byte(r.Gate), &g); err != nil {
			return nil, fmt.Errorf("decode gate of %s: %w", r.ID, err)
		}
		seats[i] = rdev.Seat{ID: r.ID, Project: r.Project, KeyID: r.KeyID, Turn: r.Turn, Gate: rdev.Gate{Project: g[0], Key: g[1], KeyInProject: g[2], Queue: g[3]}}
	}
	return seats, nil
}
