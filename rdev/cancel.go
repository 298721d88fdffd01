package rdev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
)

// Cancel asks for the end of a command and returns without waiting for it: the
// terminal event tells when every process of it is seen dead. Needs
// commands:cancel. It is idempotent; a command that has ended stays as it is.
func (s *Service) Cancel(ctx context.Context, caller auth.Principal, project, id string) (Command, error) {
	return s.end(ctx, caller, project, id, AuditCommandCancel)
}

func (s *Service) end(ctx context.Context, caller auth.Principal, project, id string, event AuditEvent) (Command, error) {
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
		c.Audit = s.aboutCommand(ctx, caller, event, *c)
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

// killTimeout bounds how long a Kill is waited for in the background.
const killTimeout = time.Minute

// Kill is Cancel without a grace period, also for a command in the middle of
// it, as far as the executor is an exec.Killer.
func (s *Service) Kill(ctx context.Context, caller auth.Principal, project, id string) (Command, error) {
	cmd, err := s.end(ctx, caller, project, id, AuditCommandKill)
	if err != nil || cmd.State.Terminal() {
		return cmd, err
	}
	killer, ok := s.cfg.Executor.(exec.Killer)
	if !ok || s.enter() != nil { // when closing, the commands are being ended anyway
		return cmd, nil
	}
	go func() {
		defer s.workers.Done()
		ctx, cancel := context.WithTimeout(s.patience, killTimeout)
		defer cancel()
		if err := killer.Kill(ctx, cmd.Spec.Target, id); err != nil {
			s.failed(&cmd, fmt.Errorf("rdev: kill %s: %w", id, err))
		}
	}()
	return cmd, nil
}
