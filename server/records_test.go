package server_test

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/orchard9/rdev/rdev"
)

// records are rdev.Commands and rdev.Projects in memory.
type records struct {
	mu       sync.Mutex
	commands map[string]rdev.Command
	projects []rdev.Project
}

func newRecords(projects ...string) *records {
	r := &records{commands: make(map[string]rdev.Command)}
	for _, name := range projects {
		r.projects = append(r.projects, rdev.Project{Name: name, Description: "The " + name + " project.", Status: rdev.StatusRunning})
	}
	return r
}

func (r *records) Insert(_ context.Context, c rdev.Command) (rdev.Command, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, old := range r.commands {
		if c.IdempotencyKey != "" && old.IdempotencyKey == c.IdempotencyKey && old.KeyID == c.KeyID && old.Project == c.Project {
			return old, false, nil
		}
	}
	r.commands[c.ID] = c
	return c, true, nil
}

func (r *records) Get(_ context.Context, id string) (rdev.Command, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, known := r.commands[id]
	if !known {
		return rdev.Command{}, rdev.ErrCommandNotFound
	}
	return c, nil
}

func (r *records) List(_ context.Context, f rdev.CommandFilter, limit int) ([]rdev.Command, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []rdev.Command
	for _, c := range r.commands {
		if f.Project != "" && c.Project != f.Project || f.Type != "" && c.Type != f.Type ||
			f.Before != "" && c.ID >= f.Before || len(f.States) > 0 && !slices.Contains(f.States, c.State) {
			continue
		}
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b rdev.Command) int { return strings.Compare(b.ID, a.ID) })
	return found[:min(limit, len(found))], nil
}

func (r *records) Update(_ context.Context, id string, change func(*rdev.Command) error) (rdev.Command, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.commands[id]
	if !known {
		return rdev.Command{}, rdev.ErrCommandNotFound
	}
	after := before
	if err := change(&after); err != nil {
		return before, err
	}
	after, err := rdev.CheckUpdate(before, after)
	if err == nil {
		r.commands[id] = after
	}
	return after, err
}

// projectList is the Projects port over the same records.
type projectList struct{ *records }

func (p projectList) Get(_ context.Context, name string) (rdev.Project, error) {
	for _, project := range p.projects {
		if project.Name == name {
			return project, nil
		}
	}
	return rdev.Project{}, rdev.ErrProjectNotFound
}

func (p projectList) List(context.Context) ([]rdev.Project, error) { return p.projects, nil }
