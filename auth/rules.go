package auth

import "time"

// ReplaceKey is the rule of KeyStore.Create for implementations. It returns the
// predecessor old as it is after replacement by next, or ErrKeyReplaced or
// ErrKeyRevoked or ErrPredecessorWorks. working says whether one of the keys
// that old took the place of, and those before, works at next.CreatedAt
// (Key.WorksAt).
func ReplaceKey(old, next Key, until time.Time, working bool) (Key, error) {
	if old.ReplacedBy != "" {
		return old, ErrKeyReplaced
	}
	if !old.RevokedAt.IsZero() {
		return old, ErrKeyRevoked
	}
	old.ReplacedBy = next.ID
	if old.ExpiresAt.IsZero() || until.Before(old.ExpiresAt) {
		old.ExpiresAt = until
	}
	if working && old.WorksAt(next.CreatedAt) {
		return old, ErrPredecessorWorks
	}
	return old, nil
}

// WorksAt reports whether the key is neither revoked nor expired.
func (k Key) WorksAt(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// NewKeyRecord is the rule of KeyStore.Create for the new key itself: it
// returns key as it is stored.
func NewKeyRecord(key Key, replaces *Replacement) Key {
	key.Replaces, key.LastUsedAt = "", time.Time{}
	if replaces != nil {
		key.Replaces = replaces.ID
	}
	return key
}

// UpdateKey is the rule of KeyStore.Update for implementations: it returns
// after with the fields that cannot change restored.
func UpdateKey(before, after Key) Key {
	after.ID, after.CreatedAt = before.ID, before.CreatedAt
	after.Replaces, after.LastUsedAt = before.Replaces, before.LastUsedAt
	if after.Algorithm == before.Algorithm {
		after.Hash = before.Hash
	}
	return after
}
