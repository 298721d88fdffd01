package rdev

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/stream"
)

// Sizes of a page of a list.
const (
	DefaultPage = 50
	MaxPage     = 200
)

// ListOptions select the commands of a project.
type ListOptions struct {
	Project string      // Required.
	States  []State     // Defaults to all.
	Type    policy.Type // Defaults to all.
	Cursor  string      // The Next of the page before. Defaults to the newest.
	Limit   int         // 1 to MaxPage. Defaults to DefaultPage.
}

// A CommandPage is a part of a list, newest first.
type CommandPage struct {
	Commands []Command
	Next     string // the Cursor of the next page, empty on the last
}

// Get returns a command of a project. Needs commands:read. ErrCommandNotFound
// if the project has no such command. Whoever has seen the terminal event is
// told the terminal state, by the Service that runs the command; another one
// over the same records may be a moment behind.
func (s *Service) Get(ctx context.Context, caller auth.Principal, project, id string) (Command, error) {
	if _, err := s.allow(ctx, caller, project, auth.ScopeCommandsRead); err != nil {
		return Command{}, err
	}
	if err := s.settle(ctx, id); err != nil {
		return Command{}, err
	}
	return s.command(ctx, project, id)
}

// List returns commands of a project, newest first. Needs commands:read.
func (s *Service) List(ctx context.Context, caller auth.Principal, opts ListOptions) (CommandPage, error) {
	if _, err := s.allow(ctx, caller, opts.Project, auth.ScopeCommandsRead); err != nil {
		return CommandPage{}, err
	}
	limit, err := pageSize(opts.Limit)
	if err != nil {
		return CommandPage{}, err
	}
	filter := CommandFilter{Project: opts.Project, States: opts.States, Type: opts.Type, Before: opts.Cursor}
	if err := s.settleAll(ctx, opts.Project); err != nil {
		return CommandPage{}, err
	}
	// One more than asked for tells whether there is a next page.
	found, err := s.cfg.Commands.List(ctx, filter, limit+1)
	if err != nil {
		return CommandPage{}, fmt.Errorf("rdev: list commands: %w", err)
	}
	page := CommandPage{Commands: found}
	if len(found) > limit {
		page.Commands = found[:limit]
		page.Next = found[limit-1].ID
	}
	return page, nil
}

// Subscribe returns a cursor over a command's events from after+1 on, and the
// command as it was recorded at that time or at its start. Needs streams:read. Close the subscription when done.
func (s *Service) Subscribe(ctx context.Context, caller auth.Principal, project, id string, after uint64) (*stream.Subscription, Command, error) {
	if _, err := s.allow(ctx, caller, project, auth.ScopeStreamsRead); err != nil {
		return nil, Command{}, err
	}
	cmd, err := s.started(ctx, project, id)
	if err != nil {
		return nil, Command{}, err
	}
	sub, err := s.cfg.Broker.Subscribe(ctx, cmd.StreamID(), after)
	if err != nil {
		return nil, Command{}, fmt.Errorf("rdev: subscribe to %s: %w", id, err)
	}
	return sub, cmd, nil
}

// Follow calls each with a command's events from after+1 on, in order, and
// returns nil behind the terminal one. Needs streams:read. Events that are gone
// are a *stream.GapError; an error from each ends Follow and is returned as it
// is.
func (s *Service) Follow(ctx context.Context, caller auth.Principal, project, id string, after uint64, each func(stream.Event) error) error {
	sub, _, err := s.Subscribe(ctx, caller, project, id, after)
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		events, err := sub.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("rdev: follow %s: %w", id, err)
		}
		for _, e := range events {
			if err := each(e); err != nil {
				return err
			}
		}
	}
}

// Projects returns the projects that the caller may see, by name. Needs
// projects:read.
func (s *Service) Projects(ctx context.Context, caller auth.Principal) ([]Project, error) {
	if !caller.Can(auth.ScopeProjectsRead) {
		return nil, missing(auth.ScopeProjectsRead)
	}
	all, err := s.cfg.Projects.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("rdev: list projects: %w", err)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(p Project) bool { return !caller.Sees(p.Name) })
	for i := range all {
		all[i].Policy = s.levelOf(all[i])
	}
	return all, nil
}

// Project returns one project. Needs projects:read.
func (s *Service) Project(ctx context.Context, caller auth.Principal, name string) (Project, error) {
	p, err := s.allow(ctx, caller, name, auth.ScopeProjectsRead)
	if err == nil {
		p.Policy = s.levelOf(p)
	}
	return p, err
}

// allow is the one place where a caller is let into a project. A project
// outside the caller's patterns is as one that does not exist, so that names
// cannot be found out; only then is the scope looked at.
func (s *Service) allow(ctx context.Context, caller auth.Principal, project string, scope auth.Scope) (Project, error) {
	if !caller.Sees(project) {
		return Project{}, s.noteRefusal(ctx, caller, string(scope), project, errProjectHidden)
	}
	if !caller.Can(scope) {
		return Project{}, s.noteRefusal(ctx, caller, string(scope), project, missing(scope))
	}
	p, err := s.cfg.Projects.Get(ctx, project)
	if err != nil {
		return Project{}, fmt.Errorf("rdev: project %q: %w", project, err)
	}
	return p, nil
}

func missing(scope auth.Scope) error {
	return fmt.Errorf("%w: the key lacks the scope %s", ErrForbidden, scope)
}

// command returns a record if it is the project's.
func (s *Service) command(ctx context.Context, project, id string) (Command, error) {
	cmd, err := s.cfg.Commands.Get(ctx, id)
	if err != nil {
		return Command{}, fmt.Errorf("rdev: command %q: %w", id, err)
	}
	if cmd.Project != project {
		return Command{}, ErrCommandNotFound
	}
	return cmd, nil
}

// started is command without asking the store for what runs here: most readers
// come just after the start.
func (s *Service) started(ctx context.Context, project, id string) (Command, error) {
	s.mu.Lock()
	w := s.running[id]
	s.mu.Unlock()
	if w != nil && w.begun.Project == project {
		return w.begun, nil
	}
	return s.command(ctx, project, id)
}

func pageSize(limit int) (int, error) {
	switch {
	case limit == 0:
		return DefaultPage, nil
	case limit < 0 || limit > MaxPage:
		return 0, &ArgumentError{Field: "limit", Problem: fmt.Sprintf("is not between 1 and %d", MaxPage)}
	}
	return limit, nil
}

// settle waits for a worker of this process that has told the end of its
// command to readers and is about to record it, so that nobody who saw the
// terminal event is then told that the command is running.
func (s *Service) settle(ctx context.Context, id string) error {
	s.mu.Lock()
	w := s.running[id]
	s.mu.Unlock()
	if w == nil || !w.ending.Load() {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("rdev: command %q is being recorded: %w", id, ctx.Err())
	}
}

// settleAll is settle for all commands of a project.
func (s *Service) settleAll(ctx context.Context, project string) error {
	s.mu.Lock()
	var ids []string
	for id, w := range s.running {
		if w.begun.Project == project && w.ending.Load() {
			ids = append(ids, id)
		}
	}
	s.mu.Unlock()
	for _, id := range ids {
		if err := s.settle(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
