package metrics

import (
	"context"
	"time"

	"github.com/orchard9/rdev/rdev"
)

// Audit returns next with its calls measured.
func (m *Metrics) Audit(next rdev.Audit) rdev.Audit { return &audit{next, m} }

type audit struct {
	next rdev.Audit
	m    *Metrics
}

func (a *audit) Append(ctx context.Context, entries ...rdev.AuditEntry) (err error) {
	defer a.m.call("audit", "append", &err)()
	return a.next.Append(ctx, entries...)
}

func (a *audit) List(ctx context.Context, filter rdev.AuditFilter, limit int) (rows []rdev.AuditRow, err error) {
	defer a.m.call("audit", "list", &err)()
	return a.next.List(ctx, filter, limit)
}

func (a *audit) Head(ctx context.Context) (head rdev.AuditHead, err error) {
	defer a.m.call("audit", "head", &err)()
	return a.next.Head(ctx)
}

func (a *audit) Prune(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	defer a.m.call("audit", "prune", &err)()
	return a.next.Prune(ctx, before, limit)
}
