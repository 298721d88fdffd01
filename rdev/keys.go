package rdev

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
)

// Bounds of keys.
const (
	MaxKeyName      = 100 // bytes
	MaxKeyProjects  = 100 // patterns; of addresses, auth.MaxAddresses
	DefaultKeyGrace = 24 * time.Hour
	MaxKeyGrace     = 7 * 24 * time.Hour
)

// A KeySpec asks for a key.
type KeySpec struct {
	// Name is for people: at most MaxKeyName bytes. Required.
	Name string
	// Scopes and Projects are what the key allows. Required; no broader than
	// the caller's.
	Scopes   []auth.Scope
	Projects []auth.Pattern
	// Policy is the widest level for commands of the key, whatever the
	// projects allow. Defaults to the caller's, and may not be wider.
	Policy policy.Level
	// AllowedAddresses are where the key works from, plain prefixes
	// (auth.ParsePrefix). Defaults to the caller's, and may let in nobody else.
	AllowedAddresses []netip.Prefix
	// ExpiresAt ends the key. Defaults to the caller's end, which it may not
	// outlive.
	ExpiresAt time.Time
}

// A KeyPage is a part of a list, newest first.
type KeyPage struct {
	Keys []auth.Key
	Next string // the cursor of the next page, empty on the last
}

// CreateKey makes a key. The secret is the whole key as its holder presents
// it; it cannot be had again. Needs keys:write. ErrForbidden if the key would
// be broader than the caller; ErrInvalidArgument.
func (s *Service) CreateKey(ctx context.Context, caller auth.Principal, spec KeySpec) (_ auth.Key, _ auth.Secret, err error) {
	defer func() { err = s.noteRefusal(ctx, caller, string(auth.ScopeKeysWrite), "", err) }()
	if !caller.Can(auth.ScopeKeysWrite) {
		return auth.Key{}, auth.Secret{}, missing(auth.ScopeKeysWrite)
	}
	if err := spec.validate(s.now()); err != nil {
		return auth.Key{}, auth.Secret{}, err
	}
	if spec.Policy == "" {
		spec.Policy = policy.Level(caller.Policy)
	}
	if len(spec.AllowedAddresses) == 0 {
		spec.AllowedAddresses = caller.AllowedAddresses
	}
	key := auth.Key{
		Name: spec.Name, Scopes: spec.Scopes, Projects: spec.Projects, Policy: string(spec.Policy),
		AllowedAddresses: spec.AllowedAddresses, CreatedBy: caller.KeyID,
	}
	if !covers(caller, key) {
		return auth.Key{}, auth.Secret{}, fmt.Errorf("%w: the key would be broader than the one that makes it", ErrForbidden)
	}
	if !caller.ExpiresAt.IsZero() {
		if spec.ExpiresAt.After(caller.ExpiresAt) {
			return auth.Key{}, auth.Secret{}, fmt.Errorf("%w: the key would outlive the one that makes it", ErrForbidden)
		}
		if spec.ExpiresAt.IsZero() {
			spec.ExpiresAt = caller.ExpiresAt
		}
	}
	key.ExpiresAt = spec.ExpiresAt.UTC().Truncate(time.Microsecond)
	return s.storeKey(ctx, caller, key, nil)
}

// RotateKey makes a key with the same name, grants and lifetime as the one with
// the id, and ends that one after grace: DefaultKeyGrace if it is zero, at once
// if it is negative, MaxKeyGrace at most. Needs keys:write. A key that was
// rotated already is auth.ErrKeyReplaced; one that is revoked or expired is
// ErrStaleState; auth.ErrPredecessorWorks if a key that this one took the place
// of works still, and this one would beside its successor.
func (s *Service) RotateKey(ctx context.Context, caller auth.Principal, id string, grace time.Duration) (_ auth.Key, _ auth.Secret, err error) {
	defer func() { err = s.noteRefusal(ctx, caller, string(auth.ScopeKeysWrite), "", err) }()
	if grace > MaxKeyGrace {
		return auth.Key{}, auth.Secret{}, &ArgumentError{Field: "grace", Problem: fmt.Sprintf("is above %v", MaxKeyGrace)}
	}
	if grace == 0 {
		grace = DefaultKeyGrace
	}
	old, err := s.key(ctx, caller, auth.ScopeKeysWrite, id)
	if err != nil {
		return auth.Key{}, auth.Secret{}, err
	}
	now := s.now()
	if !old.RevokedAt.IsZero() || !old.ExpiresAt.IsZero() && !old.ExpiresAt.After(now) {
		return auth.Key{}, auth.Secret{}, fmt.Errorf("%w: key %s has ended and cannot be rotated", ErrStaleState, id)
	}
	next := auth.Key{
		Name: old.Name, Scopes: old.Scopes, Projects: old.Projects, Policy: old.Policy,
		AllowedAddresses: old.AllowedAddresses, CreatedBy: caller.KeyID,
	}
	if !old.ExpiresAt.IsZero() {
		next.ExpiresAt = now.Add(old.ExpiresAt.Sub(old.CreatedAt))
	}
	if end := caller.ExpiresAt; !end.IsZero() && (next.ExpiresAt.IsZero() || next.ExpiresAt.After(end)) {
		next.ExpiresAt = end
	}
	return s.storeKey(ctx, caller, next, &auth.Replacement{ID: id, Until: now.Add(max(grace, 0))})
}

// storeKey gives the key its id, its secret and its date, and stores it.
func (s *Service) storeKey(ctx context.Context, caller auth.Principal, key auth.Key, replaces *auth.Replacement) (auth.Key, auth.Secret, error) {
	id, secret := auth.NewKey()
	key.ID, key.CreatedAt = id, s.now()
	key.Hash, key.Algorithm = s.cfg.Hasher.Hash(secret)
	key = auth.NewKeyRecord(key, replaces)
	err := s.auditKey(ctx, caller, madeKey(key, replaces), func() error { return s.cfg.Keys.Create(ctx, key, replaces) })
	if err != nil {
		return auth.Key{}, auth.Secret{}, fmt.Errorf("rdev: create key: %w", err)
	}
	return key, auth.FormatKey(id, secret), nil
}

// Key returns a key. Needs keys:read. A key that is broader than the caller is
// as one that does not exist.
func (s *Service) Key(ctx context.Context, caller auth.Principal, id string) (auth.Key, error) {
	return s.key(ctx, caller, auth.ScopeKeysRead, id)
}

// Keys returns the keys that are no broader than the caller, newest first.
// Needs keys:read. cursor is the Next of the page before, limit as in
// ListOptions.
func (s *Service) Keys(ctx context.Context, caller auth.Principal, cursor string, limit int) (KeyPage, error) {
	if !caller.Can(auth.ScopeKeysRead) {
		return KeyPage{}, missing(auth.ScopeKeysRead)
	}
	limit, err := pageSize(limit)
	if err != nil {
		return KeyPage{}, err
	}
	var page KeyPage
	for {
		found, err := s.cfg.Keys.List(ctx, cursor, limit+1)
		if errors.Is(err, auth.ErrKeyNotFound) {
			return KeyPage{}, &ArgumentError{Field: "cursor", Problem: "is not one of this list"}
		}
		if err != nil {
			return KeyPage{}, fmt.Errorf("rdev: list keys: %w", err)
		}
		for _, key := range found {
			if !covers(caller, key) {
				continue
			}
			if len(page.Keys) == limit {
				page.Next = page.Keys[limit-1].ID
				return page, nil
			}
			page.Keys = append(page.Keys, key)
		}
		if len(found) <= limit {
			return page, nil
		}
		cursor = found[len(found)-1].ID
	}
}

// RevokeKey ends a key at once. Needs keys:write. It is idempotent.
func (s *Service) RevokeKey(ctx context.Context, caller auth.Principal, id string) (_ auth.Key, err error) {
	defer func() { err = s.noteRefusal(ctx, caller, string(auth.ScopeKeysWrite), "", err) }()
	if _, err := s.key(ctx, caller, auth.ScopeKeysWrite, id); err != nil {
		return auth.Key{}, err
	}
	var key auth.Key
	err = s.auditKey(ctx, caller, AuditEntry{Event: AuditKeyRevoke, Key: &AuditKey{ID: id}}, func() (err error) {
		key, err = s.cfg.Keys.Update(ctx, id, func(k *auth.Key) error {
			if k.RevokedAt.IsZero() {
				k.RevokedAt = s.now()
			}
			return nil
		})
		return err
	})
	if err != nil {
		return auth.Key{}, fmt.Errorf("rdev: revoke key %s: %w", id, err)
	}
	return key, nil
}

func (s *Service) key(ctx context.Context, caller auth.Principal, scope auth.Scope, id string) (auth.Key, error) {
	if !caller.Can(scope) {
		return auth.Key{}, missing(scope)
	}
	key, err := s.cfg.Keys.Get(ctx, id)
	if err != nil {
		return auth.Key{}, fmt.Errorf("rdev: key %q: %w", id, err)
	}
	if !covers(caller, key) {
		return auth.Key{}, auth.ErrKeyNotFound
	}
	return key, nil
}

func (k KeySpec) validate(now time.Time) error {
	switch {
	case k.Name == "" || len(k.Name) > MaxKeyName:
		return &ArgumentError{Field: "name", Problem: fmt.Sprintf("is not 1 to %d bytes long", MaxKeyName)}
	case len(k.Scopes) == 0:
		return &ArgumentError{Field: "scopes", Problem: "is empty: the key would allow nothing"}
	case len(k.Projects) == 0:
		return &ArgumentError{Field: "projects", Problem: `is empty: name projects, or "*" for all`}
	case len(k.Projects) > MaxKeyProjects:
		return &ArgumentError{Field: "projects", Problem: fmt.Sprintf("has more than %d patterns", MaxKeyProjects)}
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now):
		return &ArgumentError{Field: "expires_at", Problem: "is in the past"}
	}
	if !k.Policy.Valid() {
		return &ArgumentError{Field: "policy", Problem: "is not strict, restricted or permissive"}
	}
	if len(k.AllowedAddresses) > auth.MaxAddresses {
		return &ArgumentError{Field: "allowed_addresses", Problem: fmt.Sprintf("has more than %d prefixes", auth.MaxAddresses)}
	}
	for i, prefix := range k.AllowedAddresses {
		if !auth.ValidPrefix(prefix) {
			return &ArgumentError{Field: fmt.Sprintf("allowed_addresses[%d]", i), Problem: "is no prefix in its plain form, such as 10.0.0.0/8"}
		}
	}
	for i, scope := range k.Scopes {
		if !scope.Valid() {
			return &ArgumentError{Field: fmt.Sprintf("scopes[%d]", i), Problem: fmt.Sprintf("%q is no scope", scope)}
		}
	}
	for i, pattern := range k.Projects {
		if !pattern.Valid() {
			return &ArgumentError{Field: fmt.Sprintf("projects[%d]", i), Problem: fmt.Sprintf("%q is no project name and no prefix with a *", pattern)}
		}
	}
	return nil
}
