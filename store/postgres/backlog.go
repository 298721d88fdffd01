package postgres

import (
	"context"
	"time"

	"github.com/orchard9/rdev/rdev"
)

var _ rdev.Backlogs = (*Commands)(nil)

// Backlog implements rdev.Backlogs. It reads the unfinished commands alone.
func (c *Commands) Backlog(ctx context.Context) (rdev.Backlog, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var row struct {
		Queued   int   `db:"queued"`
		QueueAge int64 `db:"queue_age"` // microseconds, as below
		Unowned  int   `db:"unowned"`
		LeaseAge int64 `db:"lease_age"`
	}
	err := c.db.GetContext(ctx, &row, `SELECT
			count(*) FILTER (WHERE state = 'queued') AS queued,
			coalesce(extract(epoch FROM max(now() - created_at) FILTER (WHERE state = 'queued')) * 1000000, 0)::bigint AS queue_age,
			count(*) FILTER (WHERE state = 'running' AND (lease_until IS NULL OR lease_until < now())) AS unowned,
			coalesce(extract(epoch FROM max(now() - coalesce(lease_until, created_at)) FILTER (WHERE state = 'running')) * 1000000 + $1, 0)::bigint AS lease_age
		FROM commands WHERE state IN ('queued', 'running')`, c.ttl.Microseconds())
	if err != nil {
		return rdev.Backlog{}, failed(ctx, "count what waits", err)
	}
	age := func(micros int64) time.Duration { return max(0, time.Duration(micros)*time.Microsecond) }
	return rdev.Backlog{Queued: row.Queued, QueueAge: age(row.QueueAge), Unowned: row.Unowned, LeaseAge: age(row.LeaseAge)}, nil
}
