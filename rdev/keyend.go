package rdev

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
)

// errKeyEnded ends a command whose key would not be let start it any more.
var errKeyEnded = fmt.Errorf("rdev: its key allows it no longer: %w", errCanceled)

// watchKeys begins to watch the keys of running commands, unless they are left
// running whatever becomes of those.
func (s *Service) watchKeys() {
	if s.cfg.LeaveOnKeyEnd {
		return
	}
	s.keys = auth.NewWatch(auth.WatchConfig{Keys: s.cfg.Keys, Changed: s.keyChanged, Now: s.cfg.Now, OnError: s.cfg.OnError})
}

// keyChanged cancels the commands that the key would not be let start any more.
// Only a key that is known to have ended does: one that no store holds is of a
// program that has callers of its own, and a store that does not answer is no
// reason to end commands.
func (s *Service) keyChanged(id string, key auth.Key, err error) {
	if err != nil {
		return
	}
	s.mu.Lock()
	var ended []*worker
	for _, w := range s.running {
		if w.begun.KeyID == id && !s.mayStill(key, w.begun) {
			ended = append(ended, w)
		}
	}
	s.mu.Unlock()
	for _, w := range ended {
		w.cancel(errKeyEnded)
	}
}

// holdKey watches the key of a worker that has just been entered into running.
// release undoes it.
func (s *Service) holdKey(w *worker) (release func()) {
	id := w.begun.KeyID
	if s.keys == nil || id == "" || id == auth.AdminID {
		return func() {}
	}
	if key, known := s.keys.Hold(id); known && !s.mayStill(key, w.begun) {
		w.cancel(errKeyEnded)
	}
	return func() { s.keys.Release(id) }
}

// checkKey is for a command that waits, and was not asked for just now: what
// its key has become is found out before it starts, and not in a moment after.
func (w *worker) checkKey() {
	s := w.s
	if s.keys == nil || w.fresh || w.cmd.State != StateQueued || w.cmd.KeyID == auth.AdminID {
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, storeTimeout)
	defer cancel()
	key, err := s.cfg.Keys.Get(ctx, w.cmd.KeyID)
	switch {
	case err == nil && !s.mayStill(key, w.begun):
		w.cancel(errKeyEnded)
	case err != nil && !errors.Is(err, auth.ErrKeyNotFound) && w.ctx.Err() == nil:
		s.cfg.OnError(fmt.Errorf("rdev: look at the key of %s: %w", w.cmd.ID, err)) // the watch finds out
	}
}

// mayStill reports whether the key, as it is now, would be let start the command
// from where that was asked for.
func (s *Service) mayStill(key auth.Key, cmd Command) bool {
	caller, err := key.Principal(s.cfg.Now(), cmd.From)
	if err != nil || !caller.Sees(cmd.Project) || !caller.Can(scopeOf(cmd.Type)) {
		return false
	}
	if level := keyLevel(caller.Policy); cmd.Policy != "" && cmd.Policy.Min(level) != cmd.Policy {
		return false
	}
	if cmd.Type == policy.TypeClaude && !caller.Can(auth.ScopeClaudeUnrestricted) && s.needsWidening(cmd) {
		return false
	}
	return cmd.Policy != policy.Permissive || caller.Can(auth.ScopeShellUnrestricted)
}

// needsWidening reports whether a claude could be started because of its key's
// scope alone. That shows in what runs.
func (s *Service) needsWidening(cmd Command) bool {
	p := s.cfg.Policy
	p.Level = cmd.Policy
	return p.NeedsWidening(cmd.Spec.Argv)
}
