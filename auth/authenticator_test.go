package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

const adminKey = "an-admin-key-of-32-characters-ok"

// countingStore counts what the Authenticator asks for, and fails on demand.
type countingStore struct {
	auth.KeyStore
	gets, uses atomic.Int64
	fail       atomic.Pointer[error]
}

func (s *countingStore) Get(ctx context.Context, id string) (auth.Key, error) {
	s.gets.Add(1)
	if err := s.fail.Load(); err != nil {
		return auth.Key{}, *err
	}
	return s.KeyStore.Get(ctx, id)
}

func (s *countingStore) Used(ctx context.Context, last map[string]time.Time) error {
	s.uses.Add(1)
	if err := s.fail.Load(); err != nil {
		return *err
	}
	return auth.Used(ctx, s.KeyStore, last)
}

// fixture is an Authenticator over a store with one key, and a clock.
type fixture struct {
	*auth.Authenticator
	store *countingStore
	id    string
	text  string // the key as presented
	now   atomic.Pointer[time.Time]
}

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func newFixture(t *testing.T, change func(*auth.Key)) *fixture {
	t.Helper()
	is := is.New(t)
	id, secret := auth.NewKey()
	key := auth.Key{
		ID: id, Name: "ci", Hash: auth.HashSecret(secret), CreatedAt: start(),
		Scopes: []auth.Scope{auth.ScopeCommandsGit}, Projects: []auth.Pattern{"api"}, Policy: "strict",
		ExpiresAt: start().Add(time.Hour),
	}
	if change != nil {
		change(&key)
	}
	f := &fixture{store: &countingStore{KeyStore: auth.NewMemory()}, id: id, text: auth.FormatKey(id, secret).Reveal()}
	is.NoErr(f.store.Create(t.Context(), key, nil))
	f.set(start())
	var err error
	f.Authenticator, err = auth.NewAuthenticator(auth.AuthenticatorConfig{
		Keys: f.store, AdminKey: auth.NewSecret(adminKey), Now: func() time.Time { return *f.now.Load() },
	})
	is.NoErr(err)
	t.Cleanup(func() { _ = f.Close(context.Background()) })
	return f
}

func (f *fixture) set(now time.Time) { f.now.Store(&now) }

func TestAuthenticateReturnsWhatTheKeyAllows(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	p, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err)
	is.Equal(p, auth.Principal{
		KeyID: f.id, Name: "ci", ExpiresAt: start().Add(time.Hour),
		Scopes: []auth.Scope{auth.ScopeCommandsGit}, Projects: []auth.Pattern{"api"}, Policy: "strict",
	})
}

func TestEveryRefusalIsTheSameToTheCaller(t *testing.T) {
	_, otherSecret := auth.NewKey()
	for name, test := range map[string]struct {
		change  func(*auth.Key)
		present func(f *fixture) string
		reason  auth.Reason
		gets    int64
	}{
		"Empty":     {present: func(*fixture) string { return "" }, reason: auth.ReasonMalformed},
		"Malformed": {present: func(f *fixture) string { return f.text + "0" }, reason: auth.ReasonMalformed},
		"Huge":      {present: func(*fixture) string { return strings.Repeat("x", 1<<20) }, reason: auth.ReasonMalformed},
		"Unknown": {present: func(*fixture) string {
			return auth.FormatKey("000000000000", otherSecret).Reveal()
		}, reason: auth.ReasonUnknown, gets: 1},
		"WrongSecret": {present: func(f *fixture) string {
			return auth.FormatKey(f.id, otherSecret).Reveal()
		}, reason: auth.ReasonWrongSecret, gets: 1},
		"NoHash":  {change: func(k *auth.Key) { k.Hash = nil }, reason: auth.ReasonWrongSecret, gets: 1},
		"Revoked": {change: func(k *auth.Key) { k.RevokedAt = start() }, reason: auth.ReasonRevoked, gets: 1},
		"Expired": {change: func(k *auth.Key) { k.ExpiresAt = start() }, reason: auth.ReasonExpired, gets: 1},
		"AdminKeyCutShort": {present: func(*fixture) string {
			return adminKey[:31]
		}, reason: auth.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			f := newFixture(t, test.change)
			text := f.text
			if test.present != nil {
				text = test.present(f)
			}
			p, err := f.Authenticate(t.Context(), text, netip.Addr{})
			is.True(errors.Is(err, auth.ErrUnauthenticated))
			is.Equal(err.Error(), auth.ErrUnauthenticated.Error()) // the text gives nothing away
			is.Equal(auth.ReasonOf(err), test.reason)
			is.Equal(p, auth.Principal{})
			is.Equal(f.store.gets.Load(), test.gets) // how often the store was asked
		})
	}
}

func TestAFlippedCharacterDoesNotReachTheStore(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	for i := range len(f.text) {
		for _, c := range []byte(alphabet + "_-. ") {
			if f.text[i] == c {
				continue
			}
			_, err := f.Authenticate(t.Context(), f.text[:i]+string([]byte{c})+f.text[i+1:], netip.Addr{})
			is.Equal(auth.ReasonOf(err), auth.ReasonMalformed)
		}
	}
	is.Equal(f.store.gets.Load(), int64(0))
}

func TestAKeyWorksUntilItExpires(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	f.set(start().Add(time.Hour - 1))
	_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err)
	f.set(start().Add(time.Hour))
	_, err = f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.Equal(auth.ReasonOf(err), auth.ReasonExpired)
}

func TestRevocationWorksAtOnce(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.NoErr(err)
	_, err = f.store.KeyStore.Update(t.Context(), f.id, func(k *auth.Key) error { k.RevokedAt = start(); return nil })
	is.NoErr(err)
	_, err = f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.Equal(auth.ReasonOf(err), auth.ReasonRevoked)
}

func TestBothKeysOfARotationWorkInItsGrace(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	id, secret := auth.NewKey()
	successor := auth.Key{ID: id, Hash: auth.HashSecret(secret), CreatedAt: start()}
	until := start().Add(time.Minute)
	is.NoErr(f.store.Create(t.Context(), successor, &auth.Replacement{ID: f.id, Until: until}))
	f.set(until.Add(-1))
	for _, text := range []string{f.text, auth.FormatKey(id, secret).Reveal()} {
		_, err := f.Authenticate(t.Context(), text, netip.Addr{})
		is.NoErr(err)
	}
	f.set(until)
	_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.Equal(auth.ReasonOf(err), auth.ReasonExpired)
	_, err = f.Authenticate(t.Context(), auth.FormatKey(id, secret).Reveal(), netip.Addr{})
	is.NoErr(err)
}

func TestAFailureOfTheStoreIsNoRefusal(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	broken := errors.New("the disk is gone")
	f.store.fail.Store(&broken)
	_, err := f.Authenticate(t.Context(), f.text, netip.Addr{})
	is.Equal(err, broken)
	is.True(!errors.Is(err, auth.ErrUnauthenticated))
	is.Equal(auth.ReasonOf(err), auth.Reason(""))
	_, err = f.Authenticate(t.Context(), adminKey, netip.Addr{}) // needs no store
	is.NoErr(err)
}

func TestTheAdminKeyMakesAnAdmin(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	p, err := f.Authenticate(t.Context(), adminKey, netip.Addr{})
	is.NoErr(err)
	is.Equal(p, auth.Admin())
	is.Equal(f.store.gets.Load(), int64(0))
}

func TestNewAuthenticatorNamesWhatIsWrong(t *testing.T) {
	for field, config := range map[string]auth.AuthenticatorConfig{
		"Keys":       {},
		"FlushEvery": {Keys: auth.NewMemory(), FlushEvery: -1},
		"AdminKey":   {Keys: auth.NewMemory(), AdminKey: auth.NewSecret(adminKey[:31])},
		"AdminKey  ": {Keys: auth.NewMemory(), AdminKey: auth.NewSecret(adminKey + " and more")},
		"AdminKey ":  {Keys: auth.NewMemory(), AdminKey: auth.NewSecret(strings.Repeat("x", 1025))},
	} {
		t.Run(field, func(t *testing.T) {
			is := is.New(t)
			_, err := auth.NewAuthenticator(config)
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), "AuthenticatorConfig."+strings.TrimSpace(field)))
			is.True(!strings.Contains(err.Error(), adminKey[:31])) // the key is not repeated
		})
	}
}

func TestWithoutAnAdminKeyNobodyIsAdmin(t *testing.T) {
	is := is.New(t)
	a, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: auth.NewMemory()})
	is.NoErr(err)
	defer func() { _ = a.Close(context.Background()) }()
	for _, text := range []string{"", adminKey} {
		_, err = a.Authenticate(t.Context(), text, netip.Addr{})
		is.Equal(auth.ReasonOf(err), auth.ReasonMalformed)
	}
}
