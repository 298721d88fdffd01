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
	"net/netip"
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
	// ErrPredecessorWorks: a key that this one took the place of works still,
	// so it cannot be replaced by a third that works beside both.
	ErrPredecessorWorks = errors.New("auth: the key's predecessor works still")
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
	// revoked would live on in its successor. ErrPredecessorWorks if it would
	// work on, and one of those that it took the place of works at the new
	// key's CreatedAt too. Replaces is set by that alone, and LastUsedAt is
	// not stored.
	Create(ctx context.Context, key Key, replaces *Replacement) error
	// Get returns the key with this id, or ErrKeyNotFound.
	Get(ctx context.Context, id string) (Key, error)
	// List returns up to limit keys, newest first (by CreatedAt, then ID,
	// both descending), that come after the key with the id before in that
	// order; an empty before starts at the newest. An unknown before is
	// ErrKeyNotFound.
	List(ctx context.Context, before string, limit int) ([]Key, error)
	// Update changes a key in one transaction: change is called with the key
	// as it is (perhaps more than once) and edits it. ID, CreatedAt, Replaces
	// and LastUsedAt cannot be changed, and Hash only together with its
	// Algorithm: what change does to them else is ignored. An error from
	// change is returned as it is, and nothing is changed.
	Update(ctx context.Context, id string, change func(*Key) error) (Key, error)
}

// A Key is what is stored of an API key. The caller owns its slices: stores
// copy.
type Key struct {
	ID   string // 12 characters of base62, public
	Name string // for people
	// Hash is what a Hasher makes of the secret, 32 bytes, and Algorithm
	// how: AlgorithmSHA256, which is what empty means too, or "hmac-sha256:" and the
	// id of a pepper.
	Hash      []byte
	Algorithm string
	Scopes    []Scope
	// Projects are the patterns of the projects that the key may see.
	Projects []Pattern
	// AllowedAddresses are where the key works from, plain prefixes (see
	// ParsePrefix); empty: anywhere.
	AllowedAddresses []netip.Prefix
	// Policy is the widest level of exec/policy that commands of the key may
	// have, in every project. Empty sets no bound.
	Policy    string
	CreatedAt time.Time
	CreatedBy string // id of the key that made it, "admin" for the admin key

	ExpiresAt  time.Time // zero: never
	RevokedAt  time.Time // zero: not revoked
	LastUsedAt time.Time // zero: never, or not noted; see KeyUses
	Replaces   string    // id of the key that this one took the place of, else empty
	ReplacedBy string    // id of the successor after a rotation, else empty
}

// Replacement names the key that a new key takes the place of.
type Replacement struct {
	ID string
	// Until is the end of the grace period, in which both keys work.
	Until time.Time
}

// KeyUses is what a KeyStore implements besides if it keeps when keys were last
// used. Where that is kept, a key itself is not written: whoever reads, locks or
// watches keys is not disturbed by their use.
type KeyUses interface {
	// Used notes when keys were last used, by their ids. A time that is not
	// after the one that is kept changes nothing; an unknown id is passed over.
	Used(ctx context.Context, last map[string]time.Time) error
}

// KeyChanges is what a KeyStore implements besides if it can tell that a key
// was changed, by this process or another, without being asked for each.
type KeyChanges interface {
	// OnChange has changed called after keys were changed, soon but with no
	// promise (a lost connection loses what it would have brought), with their
	// ids, or with none if it cannot be known which. changed must not block and
	// must not use the store. After stop has returned it is not called again.
	OnChange(changed func(ids []string)) (stop func())
	// GetAll returns those of the keys that there are, in any order.
	GetAll(ctx context.Context, ids []string) ([]Key, error)
}
