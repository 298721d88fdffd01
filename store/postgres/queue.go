package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/orchard9/rdev/rdev"
)

// insertWithin is insert for a record with a gate: one statement, whose function
// holds the locks under which it counts until the record is there.
func (c *Commands) insertWithin(ctx context.Context, db sqlx.ExtContext, cmd rdev.Command) (bool, error) {
	doc, err := encode(cmd)
	if err != nil {
		return false, err
	}
	gate := pq.Array([]int64{int64(cmd.Gate.Project), int64(cmd.Gate.Key), int64(cmd.Gate.KeyInProject)})
	for {
		stored, err := changeAudited(ctx, db, cmd.Audit, `INSERT INTO commands (id, project, type, state, key_id, created_at, idempotency_key, cancel, doc, owner, lease_until, turn, gate)
			SELECT $1::text, $2::text, $3::text, $4::text, $5::text, $6::timestamptz, NULLIF($7::text, ''), $8::boolean, $9::bytea, NULLIF($10::text, ''),
				CASE WHEN $10::text = '' THEN NULL ELSE now() + $11::bigint * interval '1 microsecond' END, turn, $12::int[]
			FROM rdev_enter($2::text, $5::text, $12::int[], $13::int, $14::boolean) WHERE refused = ''
			ON CONFLICT (key_id, project, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING`,
			cmd.ID, cmd.Project, cmd.Type, cmd.State, cmd.KeyID, cmd.CreatedAt, cmd.IdempotencyKey, !cmd.CancelRequestedAt.IsZero(), doc, cmd.Owner, c.ttl.Microseconds(),
			gate, cmd.Gate.Queue, !cmd.WaitUntil.IsZero())
		if err != nil || stored {
			return stored, err
		}
		// Which limit it was is asked again: there is no place for a second
		// answer in the statement.
		var refused string
		if err := sqlx.GetContext(ctx, db, &refused, `SELECT refused FROM rdev_enter($1, $2, $3, $4, $5)`,
			cmd.Project, cmd.KeyID, gate, cmd.Gate.Queue, !cmd.WaitUntil.IsZero()); err != nil {
			return false, err
		}
		if refused != "" {
			return false, refusal(rdev.Limit(refused), cmd.Gate)
		}
		if cmd.IdempotencyKey != "" { // the request was made before
			return false, nil
		}
	}
}

// refusal is the error of a limit that the database has named.
func refusal(limit rdev.Limit, g rdev.Gate) error {
	most := map[rdev.Limit]int{
		rdev.LimitProjectCommands: g.Project,
		rdev.LimitKeyCommands:     g.Key,
		rdev.LimitKeyInProject:    g.KeyInProject,
		rdev.LimitQueue:           g.Queue,
	}[limit]
	return &rdev.LimitError{Limit: limit, Max: most}
}

// Admit implements rdev.Queue.
func (c *Commands) Admit(ctx context.Context, ids []string) ([]rdev.Place, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	if _, err := c.db.ExecContext(ctx, `SELECT rdev_admit($1)`, pq.Array(ids)); err != nil {
		return nil, failed(ctx, "admit commands", err)
	}
	var rows []struct {
		ID       string `db:"id"`
		Position int    `db:"position"`
	}
	err := c.db.SelectContext(ctx, &rows, `SELECT id, CASE WHEN turn IS NULL THEN 0 ELSE 1 + (SELECT count(*) FROM commands w
				WHERE w.project = c.project AND w.turn IS NOT NULL AND w.state IN ('queued', 'running') AND (w.turn, w.id) < (c.turn, c.id)) END AS position
		FROM commands c WHERE id = ANY($1) AND state IN ('queued', 'running')`, pq.Array(ids))
	if err != nil {
		return nil, failed(ctx, "admit commands", err)
	}
	places := make([]rdev.Place, len(rows))
	for i, r := range rows {
		places[i] = rdev.Place{CommandID: r.ID, Position: r.Position}
	}
	return places, nil
}
