package rdev

import (
	"context"
	"slices"
	"sync"
	"time"
)

// MemoryAudit is an Audit that forgets everything when the process ends. Get the
// one of a MemoryCommands from its method Audit.
type MemoryAudit struct {
	mu   sync.RWMutex
	head AuditHead
	last int64 // the time of the newest row
	rows []AuditRecord
}

var _ Audit = (*MemoryAudit)(nil)

// Append implements Audit.
func (m *MemoryAudit) Append(ctx context.Context, entries ...AuditEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.append(entries)
}

func (m *MemoryAudit) append(entries []AuditEntry) error {
	records := make([]AuditRecord, len(entries))
	last := AuditRecord{Seq: m.head.Seq, Micros: m.last, Hash: m.head.Hash}
	for i, e := range entries {
		r, err := EncodeAudit(e)
		if err != nil {
			return err
		}
		last = r.After(last, time.Now().UnixMicro())
		records[i] = last
	}
	m.rows = append(m.rows, records...)
	m.head.Seq, m.head.Hash, m.last = last.Seq, last.Hash, last.Micros
	return nil
}

// List implements Audit.
func (m *MemoryAudit) List(ctx context.Context, filter AuditFilter, limit int) ([]AuditRow, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var page []AuditRow
	take := func(r AuditRecord) bool {
		if filter.selects(r) && len(page) < limit {
			page = append(page, r.Row())
		}
		return len(page) < limit
	}
	if filter.OldestFirst {
		for _, r := range m.rows {
			if !take(r) {
				break
			}
		}
		return page, nil
	}
	for _, r := range slices.Backward(m.rows) {
		if !take(r) {
			break
		}
	}
	return page, nil
}

func (f AuditFilter) selects(r AuditRecord) bool {
	return (f.Project == "" || r.Project == f.Project) &&
		(f.KeyID == "" || r.KeyID == f.KeyID) &&
		(f.Since.IsZero() || r.Micros >= f.Since.UnixMicro()) &&
		r.Seq > f.After &&
		(f.Before == 0 || r.Seq < f.Before)
}

// Head implements Audit.
func (m *MemoryAudit) Head(ctx context.Context) (AuditHead, error) {
	if err := ctx.Err(); err != nil {
		return AuditHead{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.head, nil
}

// Prune implements Audit.
func (m *MemoryAudit) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for n < min(limit, len(m.rows)-1) && m.rows[n].Micros < before.UnixMicro() {
		n++
	}
	if n == 0 {
		return 0, nil
	}
	last := m.rows[n-1]
	if err := m.append([]AuditEntry{PrunedEntry(last.Seq, last.Hash)}); err != nil {
		return 0, err
	}
	m.rows = slices.Delete(m.rows, 0, n)
	m.head.PrunedSeq, m.head.PrunedHash = last.Seq, last.Hash
	return n, nil
}

// PrunedEntry is what implementations of Audit.Prune append: the row through
// which they removed.
func PrunedEntry(through uint64, hash AuditHash) AuditEntry {
	return AuditEntry{Event: AuditPruned, Through: through, ThroughHash: &hash}
}
