package rdev

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
)

// A KeyChange says what of a key becomes another. What is nil, empty or zero
// stays as it is.
type KeyChange struct {
	// Scopes, Projects and Policy may only allow less than before, and
	// ExpiresAt may only be earlier: what a key was once given is the most that
	// it ever has.
	Scopes    []auth.Scope
	Projects  []auth.Pattern
	Policy    policy.Level
	ExpiresAt time.Time
	// AllowedAddresses may be any within the caller's, since people move. Not
	// nil and empty means anywhere.
	AllowedAddresses []netip.Prefix
}

// NarrowKey changes a key, at once and for what depends on it: streams that it
// does not allow any more end, and so do commands, unless
// Config.LeaveOnKeyEnd. Needs keys:write. ErrForbidden if the key would allow
// more than before, or work where the caller's does not; ErrStaleState if it
// has ended; ErrInvalidArgument.
func (s *Service) NarrowKey(ctx context.Context, caller auth.Principal, id string, change KeyChange) (_ auth.Key, err error) {
	defer func() { err = s.noteRefusal(ctx, caller, string(auth.ScopeKeysWrite), "", err) }()
	before, err := s.key(ctx, caller, auth.ScopeKeysWrite, id)
	if err != nil {
		return auth.Key{}, err
	}
	if err := change.spec(before).validate(s.now()); err != nil {
		return auth.Key{}, err
	}
	if change.AllowedAddresses != nil && !caller.CoversAddresses(change.AllowedAddresses) {
		return auth.Key{}, fmt.Errorf("%w: the key would work where the one that changes it does not", ErrForbidden)
	}
	if err := change.apply(&before); err != nil { // a copy, for the audit log
		return auth.Key{}, err
	}
	what := madeKey(before, nil)
	what.Event = AuditKeyNarrow
	var key auth.Key
	err = s.auditKey(ctx, caller, what, func() (err error) {
		key, err = s.cfg.Keys.Update(ctx, id, func(k *auth.Key) error {
			if !k.WorksAt(s.now()) {
				return fmt.Errorf("%w: key %s has ended and cannot be changed", ErrStaleState, id)
			}
			if !covers(caller, *k) { // since it was looked at
				return auth.ErrKeyNotFound
			}
			return change.apply(k)
		})
		return err
	})
	if err != nil {
		return auth.Key{}, fmt.Errorf("rdev: change key %s: %w", id, err)
	}
	return key, nil
}

// spec is what the changed key would be asked for with.
func (c KeyChange) spec(before auth.Key) KeySpec {
	spec := KeySpec{
		Name: before.Name, Scopes: before.Scopes, Projects: before.Projects,
		Policy: c.Policy, AllowedAddresses: c.AllowedAddresses, ExpiresAt: c.ExpiresAt,
	}
	if c.Scopes != nil {
		spec.Scopes = c.Scopes
	}
	if c.Projects != nil {
		spec.Projects = c.Projects
	}
	return spec
}

// apply makes the change, or says why it would widen the key.
func (c KeyChange) apply(k *auth.Key) error {
	wider := func(what string) error {
		return fmt.Errorf("%w: a key cannot be given %s than it has; make another one", ErrForbidden, what)
	}
	own := auth.Principal{Scopes: k.Scopes, Projects: k.Projects}
	switch {
	case !own.Covers(c.Scopes, nil):
		return wider("more scopes")
	case !own.Covers(nil, c.Projects):
		return wider("more projects")
	case c.Policy != "" && c.Policy.Min(keyLevel(k.Policy)) != c.Policy:
		return wider("a wider policy")
	case !k.ExpiresAt.IsZero() && c.ExpiresAt.After(k.ExpiresAt):
		return wider("more time")
	}
	if c.Scopes != nil {
		k.Scopes = slices.Clone(c.Scopes)
	}
	if c.Projects != nil {
		k.Projects = slices.Clone(c.Projects)
	}
	if c.Policy != "" {
		k.Policy = string(c.Policy)
	}
	if !c.ExpiresAt.IsZero() {
		k.ExpiresAt = c.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	if c.AllowedAddresses != nil {
		k.AllowedAddresses = slices.Clone(c.AllowedAddresses)
	}
	return nil
}
