package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"
)

// MinAdminKey is the least number of characters of an admin key.
const MinAdminKey = 32

// bearerToken is what can be sent as one (RFC 6750, section 2.1).
var bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// maxPresented is the longest text that is looked at.
const maxPresented = 1024

// An AuthenticatorConfig is what NewAuthenticator needs.
type AuthenticatorConfig struct {
	// Keys holds the keys. Required.
	Keys KeyStore
	// AdminKey allows everything. It has MinAdminKey characters or more, of
	// those that a bearer token may have: [A-Za-z0-9._~+/-] and = at the end
	// (RFC 6750, section 2.1). Only its hash is kept. Defaults to none.
	AdminKey Secret
	// AdminAddresses are where the admin key works from. Defaults to anywhere.
	AdminAddresses []netip.Prefix
	// Hasher hashes as the keys were. Defaults to SHA-256.
	Hasher *Hasher
	// OnError is told of what the operator has to see and the caller must not:
	// a pepper that is missing, a hash that could not be renewed. It must not
	// block. Defaults to none.
	OnError func(error)
	// FlushEvery is the time between two writings of when keys were last used.
	// Defaults to 30 s; a key is written at most that often.
	FlushEvery time.Duration
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

func (c AuthenticatorConfig) withDefaults() AuthenticatorConfig {
	c.FlushEvery = cmp.Or(c.FlushEvery, 30*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return c
}

func (c AuthenticatorConfig) validate() error {
	switch length := len(c.AdminKey.Reveal()); {
	case c.Keys == nil:
		return errors.New("auth: AuthenticatorConfig.Keys is required")
	case c.FlushEvery < 0:
		return errors.New("auth: AuthenticatorConfig.FlushEvery is negative")
	case c.AdminKey.IsZero():
		return nil
	case utf8.RuneCountInString(c.AdminKey.Reveal()) < MinAdminKey:
		return fmt.Errorf("auth: AuthenticatorConfig.AdminKey has fewer than %d characters", MinAdminKey)
	case !bearerToken.MatchString(c.AdminKey.Reveal()):
		return errors.New("auth: AuthenticatorConfig.AdminKey holds characters that a bearer token cannot; use letters, digits and ._~+/-")
	case length > maxPresented:
		return fmt.Errorf("auth: AuthenticatorConfig.AdminKey has more than %d bytes", maxPresented)
	}
	return nil
}

// An Authenticator tells from a presented key who the caller is. It asks the
// store each time, so a revoked key stops working at once.
//
// All methods are safe for concurrent use.
type Authenticator struct {
	keys      KeyStore
	adminHash []byte // nil without an admin key
	adminFrom []netip.Prefix
	hasher    *Hasher
	onError   func(error)
	now       func() time.Time
	uses      *uses
	renewals  renewals
}

// NewAuthenticator returns an Authenticator. Close it when done.
func NewAuthenticator(config AuthenticatorConfig) (*Authenticator, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	a := &Authenticator{
		keys: config.Keys, adminFrom: slices.Clone(config.AdminAddresses),
		hasher: config.Hasher, onError: config.OnError, now: config.Now,
	}
	if !config.AdminKey.IsZero() {
		a.adminHash = HashSecret(config.AdminKey)
	}
	a.uses = newUses(config.Keys, config.FlushEvery, config.Now)
	return a, nil
}

// Authenticate returns the principal of the key that is presented from an
// address, the zero Addr if that is not known. Every key that does not work is
// ErrUnauthenticated; ReasonOf tells the operator why. Any other error is the
// store's, as it came: then nothing is known about the key.
//
// A text that is not a key is refused before the store is asked. A key that the
// store does not know costs the same comparison as one that it knows.
func (a *Authenticator) Authenticate(ctx context.Context, presented string, from netip.Addr) (Principal, error) {
	if len(presented) > maxPresented {
		return Principal{}, &refusal{ReasonMalformed}
	}
	if a.adminHash != nil && sameHash(HashSecret(NewSecret(presented)), a.adminHash) {
		if !allowsAddress(a.adminFrom, from) {
			return Principal{}, &refusal{ReasonAddress}
		}
		admin := Admin()
		admin.Addr = plainAddr(from)
		return admin, nil
	}
	id, secret, err := ParseKey(presented)
	if err != nil {
		return Principal{}, &refusal{ReasonMalformed}
	}
	key, err := a.keys.Get(ctx, id)
	if errors.Is(err, ErrKeyNotFound) {
		presentedHash, _ := a.hasher.Hash(secret)
		sameHash(presentedHash, make([]byte, len(presentedHash)))
		return Principal{}, &refusal{ReasonUnknown}
	}
	if err != nil {
		return Principal{}, err
	}
	presentedHash, err := a.hasher.hash(secret, key.Algorithm)
	if err != nil {
		a.renewals.complain(key.Algorithm, func() {
			a.onError(fmt.Errorf("key %s cannot be checked, nor others of its kind: %w; configure the peppers that keys were hashed with, the newest first", key.ID, err))
		})
		return Principal{}, &refusal{ReasonPepper}
	}
	if !sameHash(presentedHash, key.Hash) {
		return Principal{}, &refusal{ReasonWrongSecret}
	}
	now := a.now()
	caller, err := key.Principal(now, from)
	if err != nil {
		return Principal{}, err
	}
	a.uses.record(key, now)
	a.renew(ctx, key, secret)
	return caller, nil
}

// Keys is the store that the Authenticator asks.
func (a *Authenticator) Keys() KeyStore { return a.keys }

// Flush writes when keys were last used, for those that were not written within
// FlushEvery. It runs by itself every FlushEvery; nobody needs to call it.
func (a *Authenticator) Flush(ctx context.Context) error { return a.uses.flush(ctx, false) }

// Close stops the background work and writes when keys were last used. The
// store must still be open. Authenticate goes on working, but notes no more
// uses. Closing again is nil.
func (a *Authenticator) Close(ctx context.Context) error { return a.uses.close(ctx) }
