package auth

import "time"

// ReplaceKey is the rule of KeyStore.Create for implementations: it returns the
// predecessor old as it is after replacement by the key with the id successor,
// or ErrKeyReplaced or ErrKeyRevoked.
func ReplaceKey(old Key, successor string, until time.Time) (Key, error) {
	if old.ReplacedBy != "" {
		return old, ErrKeyReplaced
	}
	if !old.RevokedAt.IsZero() {
		return old, ErrKeyRevoked
	}
	old.ReplacedBy = successor
	if old.ExpiresAt.IsZero() || until.Before(old.ExpiresAt) {
		old.ExpiresAt = until
	}
	return old, nil
}

// UpdateKey is the rule of KeyStore.Update for implementations: it returns
// after with the fields that cannot change restored.
func UpdateKey(before, after Key) Key {
	after.ID, after.Hash, after.CreatedAt = before.ID, before.Hash, before.CreatedAt
	return after
}
