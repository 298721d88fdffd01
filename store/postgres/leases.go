package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/lib/pq"

	"github.com/orchard9/rdev/rdev"
)

// TTL implements rdev.Leases.
func (c *Commands) TTL() time.Duration { return c.ttl }

// errStalled: the database took so long to answer that leases have run out
// whose owners are well.
var errStalled = errors.New("the database stalled")

// Claim implements rdev.Leases. Replicas that claim at once pass over each
// other's rows. A statement that was held up in a stall of the server is void
// when it comes to run: the owners, held up likewise, are about to renew.
func (c *Commands) Claim(ctx context.Context, owner string, limit int) ([]rdev.Command, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	began := time.Now()
	var now time.Time
	if err := c.db.GetContext(ctx, &now, `SELECT clock_timestamp()`); err != nil {
		return nil, failed(ctx, "claim commands", err)
	}
	if time.Since(began) > c.ttl/4 {
		return nil, failed(ctx, "claim commands", errStalled)
	}
	var docs [][]byte
	err := c.db.SelectContext(ctx, &docs, `WITH due AS MATERIALIZED (
			SELECT id FROM commands
			WHERE state IN ('queued', 'running') AND (lease_until IS NULL OR lease_until < now()) AND now() < $4
			ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
		UPDATE commands SET owner = $1, lease_until = now() + $2 * interval '1 microsecond'
		FROM due WHERE commands.id = due.id
		RETURNING doc`, owner, c.ttl.Microseconds(), limit, now.Add(c.ttl/4))
	if err != nil {
		return nil, failed(ctx, "claim commands", err)
	}
	return decodeAll(docs)
}

// Renew implements rdev.Leases. Rows that somebody else is changing are not
// skipped: not to be told of a lease is to have lost it.
func (c *Commands) Renew(ctx context.Context, owner string, ids []string) ([]rdev.Lease, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var rows []struct {
		ID     string `db:"id"`
		Cancel bool   `db:"cancel"`
	}
	err := c.db.SelectContext(ctx, &rows, `UPDATE commands SET lease_until = now() + $2 * interval '1 microsecond'
		WHERE id IN (SELECT id FROM commands WHERE id = ANY($3) AND owner = $1 AND state IN ('queued', 'running') ORDER BY id FOR UPDATE)
		RETURNING id, cancel`, owner, c.ttl.Microseconds(), pq.Array(ids))
	if err != nil {
		return nil, failed(ctx, "renew leases", err)
	}
	leases := make([]rdev.Lease, len(rows))
	for i, r := range rows {
		leases[i] = rdev.Lease{CommandID: r.ID, CancelRequested: r.Cancel}
	}
	return leases, nil
}

// Release implements rdev.Leases.
func (c *Commands) Release(ctx context.Context, owner string, ids []string) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := c.db.ExecContext(ctx, `UPDATE commands SET owner = NULL, lease_until = now()
		WHERE id IN (SELECT id FROM commands WHERE id = ANY($2) AND owner = $1 ORDER BY id FOR UPDATE)`, owner, pq.Array(ids))
	return failed(ctx, "release leases", err)
}
