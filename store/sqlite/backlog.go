package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/orchard9/rdev/rdev"
)

var _ rdev.Backlogs = (*Commands)(nil)

// Backlog implements rdev.Backlogs.
func (s *Commands) Backlog(ctx context.Context) (rdev.Backlog, error) {
	var row struct {
		Queued int   `db:"queued"`
		Oldest int64 `db:"oldest"`
	}
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	err := s.db.read.GetContext(ctx, &row, `SELECT count(*) AS queued, coalesce(min(created_at), 0) AS oldest FROM commands WHERE state = 'queued'`)
	if err != nil {
		return rdev.Backlog{}, fmt.Errorf("store/sqlite: count what waits: %w", contextual(ctx, err))
	}
	b := rdev.Backlog{Queued: row.Queued}
	if row.Queued > 0 {
		b.QueueAge = max(0, time.Since(time.UnixMicro(row.Oldest)))
	}
	return b, nil
}
