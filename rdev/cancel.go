package rdev

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/auth"
)

// Cancel asks for the end of a command and returns without waiting for it: the
// terminal event tells when every process of it is seen dead. Needs
// commands:cancel. It is idempotent; a command that has ended stays as it is.
func (s *Service) Cancel(ctx context.Context, caller auth.Principal, project, id string) (Command, error) {
	if _, err := s.allow(ctx, caller, project, auth.ScopeCommandsCancel); err != nil {
		return Command{}, err
	}
	if err := s.settle(ctx, id); err != nil {
		return Command{}, err
	}
	if _, err := s.command(ctx, project, id); err != nil {
		return Command{}, err
	}
	// The wish is recorded before it is carried out, so that it outlives this
	// process.
	cmd, err := s.cfg.Commands.Update(ctx, id, func(c *Command) error {
		if c.State.Terminal() {
			return ErrStaleState
		}
		if c.CancelRequestedAt.IsZero() {
			c.CancelRequestedAt = s.now()
		}
		return nil
	})
	if errors.Is(err, ErrStaleState) {
		return s.command(ctx, project, id)
	}
	if err != nil {
		return Command{}, fmt.Errorf("rdev: cancel %s: %w", id, err)
	}
	s.mu.Lock()
	w := s.running[id]
	s.mu.Unlock()
	if w != nil {
		w.cancel(errCanceled)
	}
	return cmd, nil
}
