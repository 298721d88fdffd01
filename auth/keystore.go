// Package auth says who a caller is and what it may do: keys and their format,
// scopes, project patterns, the Principal that a key stands for, the
// Authenticator that finds it, and the KeyStore port behind it.
//
// "Implements KeyStore" means that the contract suite in auth/authtest passes
// under the race detector.
package auth

import (
	"context"
	"errors"
	"time"
)

// Errors of a KeyStore. Implementations wrap them; test with errors.Is.
var (
	// ErrKeyNotFound: no key has this id.
	ErrKeyNotFound = errors.New("auth: key not found")
	// ErrKeyExists: the id is taken.
	ErrKeyExists = errors.New("auth: key exists")
	// ErrKeyReplaced: the key was rotated already.
	ErrKeyReplaced = errors.New("auth: key was rotated already")
	// ErrKeyRevoked: the key was revoked and can have no successor.
	ErrKeyRevoked = errors.New("auth: key was revoked")
)

// A KeyStore keeps keys. It never sees a secret: only its hash. Revoked and
// expired keys are kept and returned with their dates; the Authenticator
// decides what they mean, so that every store behaves alike.
//
// All methods are safe for concurrent use. Times are kept to the microsecond
// and returned in UTC.
type KeyStore interface {
	// Create stores a new key; ErrKeyExists if its ID is taken. With replaces,
	// it also, in the same transaction, marks that predecessor as replaced by
	// the new key and lowers its ExpiresAt to replaces.Until;
	// ErrKeyNotFound if there is none, ErrKeyReplaced if it has a successor,
	// ErrKeyRevoked if it was revoked: else a key that is rotated while it is
	// revoked would live on in its successor.
	Create(ctx context.Context, key Key, replaces *Replacement) error
	// Get returns the key with this id, or ErrKeyNotFound.
	Get(ctx context.Context, id string) (Key, error)
	// List returns up to limit keys, newest first (by CreatedAt, then ID,
	// both descending), that come after the key with the id before in that
	// order; an empty before starts at the newest. An unknown before is
	// ErrKeyNotFound.
	List(ctx context.Context, before string, limit int) ([]Key, error)
	// Update changes a key in one transaction: change is called with the key
	// as it is (perhaps more than once) and edits it. ID, Hash and CreatedAt
	// cannot be changed: what change does to them is ignored. An error from
	// change is returned as it is, and nothing is changed.
	Update(ctx context.Context, id string, change func(*Key) error) (Key, error)
}

// A Key is what is stored of an API key. The caller owns its slices: stores
// copy.
type Key struct {
	ID   string // 12 characters of base62, public
	Name string // for people
	// Hash is HashSecret of the secret, 32 bytes.
	Hash   []byte
	Scopes []Scope
	// Projects are the patterns of the projects that the key may see.
	Projects  []Pattern
	CreatedAt time.Time
	CreatedBy string // id of the key that made it, "admin" for the admin key

	ExpiresAt  time.Time // zero: never
	RevokedAt  time.Time // zero: not revoked
	LastUsedAt time.Time // zero: never; written in batches, so up to a minute late
	ReplacedBy string    // id of the successor after a rotation, else empty
}

// Replacement names the key that a new key takes the place of.
type Replacement struct {
	ID string
	// Until is the end of the grace period, in which both keys work.
	Until time.Time
}
