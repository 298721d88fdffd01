package rdev

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// MemoryCommands is a Commands that forgets everything when the process ends.
type MemoryCommands struct {
	mu      sync.RWMutex
	records map[string]Command
	audit   MemoryAudit     // locked behind mu
	seats   map[string]Seat // of the unfinished ones
}

// NewMemoryCommands returns an empty store of records.
func NewMemoryCommands() *MemoryCommands {
	return &MemoryCommands{records: map[string]Command{}, seats: map[string]Seat{}}
}

var (
	_ Commands = (*MemoryCommands)(nil)
	_ Queue    = (*MemoryCommands)(nil)
)

// Audit returns the log that Insert and Update append to.
func (m *MemoryCommands) Audit() *MemoryAudit { return &m.audit }

// Insert implements Commands.
func (m *MemoryCommands) Insert(ctx context.Context, c Command) (Command, bool, error) {
	if err := ctx.Err(); err != nil {
		return Command{}, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := c.Audit
	gate := c.Gate
	c = asStored(c)
	if earlier, found := m.repeated(c); found {
		return asStored(earlier), false, nil
	}
	if _, taken := m.records[c.ID]; taken {
		return Command{}, false, fmt.Errorf("rdev: insert command %s: the id is taken", c.ID)
	}
	turn, err := gate.Check(c, slices.Collect(maps.Values(m.seats)))
	if err != nil {
		return Command{}, false, err
	}
	if err := m.audit.Append(ctx, entries...); err != nil {
		return Command{}, false, err
	}
	m.records[c.ID] = c
	if !c.State.Terminal() {
		m.seats[c.ID] = Seat{ID: c.ID, Project: c.Project, KeyID: c.KeyID, Turn: turn, Gate: gate}
	}
	return asStored(c), true, nil
}

// repeated returns the newest record that c repeats, by its idempotency key.
func (m *MemoryCommands) repeated(c Command) (newest Command, found bool) {
	if c.IdempotencyKey == "" {
		return Command{}, false
	}
	for _, r := range m.records {
		if r.IdempotencyKey == c.IdempotencyKey && r.KeyID == c.KeyID && r.Project == c.Project &&
			r.CreatedAt.After(c.CreatedAt.Add(-IdempotencyTTL)) && (!found || r.CreatedAt.After(newest.CreatedAt)) {
			newest, found = r, true
		}
	}
	return newest, found
}

// Get implements Commands.
func (m *MemoryCommands) Get(ctx context.Context, id string) (Command, error) {
	if err := ctx.Err(); err != nil {
		return Command{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, known := m.records[id]
	if !known {
		return Command{}, fmt.Errorf("rdev: get command %s: %w", id, ErrCommandNotFound)
	}
	return asStored(c), nil
}

// List implements Commands.
func (m *MemoryCommands) List(ctx context.Context, filter CommandFilter, limit int) ([]Command, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var page []Command
	for _, c := range m.records {
		if filter.selects(c) {
			page = append(page, c)
		}
	}
	slices.SortFunc(page, func(a, b Command) int { return cmp.Compare(b.ID, a.ID) })
	page = page[:min(len(page), max(limit, 0))]
	for i := range page {
		page[i] = asStored(page[i])
	}
	return page, nil
}

func (f CommandFilter) selects(c Command) bool {
	return (f.Project == "" || c.Project == f.Project) &&
		(len(f.States) == 0 || slices.Contains(f.States, c.State)) &&
		(f.Type == "" || c.Type == f.Type) &&
		(f.KeyID == "" || c.KeyID == f.KeyID) &&
		(f.ClaudeSession == "" || c.ClaudeSession() == f.ClaudeSession) &&
		(f.Before == "" || c.ID < f.Before)
}

// Update implements Commands. change must not use the store.
func (m *MemoryCommands) Update(ctx context.Context, id string, change func(*Command) error) (Command, error) {
	if err := ctx.Err(); err != nil {
		return Command{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.records[id]
	if !known {
		return Command{}, fmt.Errorf("rdev: update command %s: %w", id, ErrCommandNotFound)
	}
	after := asStored(before)
	if err := change(&after); err != nil {
		return Command{}, err
	}
	after, err := CheckUpdate(before, after)
	if err != nil {
		return Command{}, fmt.Errorf("rdev: update command %s: %w", id, err)
	}
	if err := m.audit.Append(ctx, after.Audit...); err != nil {
		return Command{}, fmt.Errorf("rdev: update command %s: %w", id, err)
	}
	m.records[id] = asStored(after)
	if after.State.Terminal() {
		delete(m.seats, id)
	}
	return asStored(after), nil
}

// Admit implements Queue.
func (m *MemoryCommands) Admit(ctx context.Context, ids []string) ([]Place, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	unfinished := slices.Collect(maps.Values(m.seats))
	var projects []string
	for _, id := range ids {
		projects = append(projects, m.seats[id].Project)
	}
	for _, id := range Admit(unfinished, projects) {
		seat := m.seats[id]
		seat.Turn = 0
		m.seats[id] = seat
	}
	return Places(unfinished, ids), nil
}

// asStored returns a copy of c as Commands keep it: nothing in it is shared,
// times are in UTC to the microsecond, and what is no part of a record is gone.
func asStored(c Command) Command {
	c.Owner, c.Audit, c.Gate = "", nil, Gate{}
	c.Argv = slices.Clone(c.Argv)
	c.Spec.Argv, c.Spec.Env, c.Spec.Stdin = slices.Clone(c.Spec.Argv), maps.Clone(c.Spec.Env), slices.Clone(c.Spec.Stdin)
	c.Spec.After, c.Spec.Resume = 0, false
	times := []*time.Time{&c.CreatedAt, &c.StartedAt, &c.EndedAt, &c.CancelRequestedAt, &c.WaitUntil}
	if c.Result != nil {
		result := *c.Result
		result.Survivors = slices.Clone(result.Survivors)
		c.Result = &result
		times = append(times, &result.Started, &result.Ended)
	}
	if c.Claude != nil {
		claude := *c.Claude
		c.Claude = &claude
	}
	for _, t := range times {
		*t = t.UTC().Truncate(time.Microsecond)
	}
	return c
}
