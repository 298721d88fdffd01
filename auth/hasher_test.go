package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

func pepper(id string) auth.Pepper {
	return auth.Pepper{ID: id, Secret: auth.NewSecret(strings.Repeat(id, 40))}
}

func hasher(t *testing.T, ids ...string) *auth.Hasher {
	t.Helper()
	var peppers []auth.Pepper
	for _, id := range ids {
		peppers = append(peppers, pepper(id))
	}
	h, err := auth.NewHasher(peppers...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// withHasher makes an Authenticator over the store of f.
func (f *fixture) withHasher(t *testing.T, h *auth.Hasher, onError func(error)) *auth.Authenticator {
	t.Helper()
	a, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: f.store, Hasher: h, OnError: onError, Now: func() time.Time { return *f.now.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

// TestPeppersRotate goes the whole way of a deployment: none, one, a second in
// front of it, the first taken away.
func TestPeppersRotate(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	algorithm := func() string {
		key, err := f.store.Get(t.Context(), f.id)
		is.NoErr(err)
		return key.Algorithm
	}
	works := func(h *auth.Hasher) {
		t.Helper()
		a := f.withHasher(t, h, func(err error) { t.Error(err) })
		for range 2 { // with the old hash, and the new one
			_, err := a.Authenticate(t.Context(), f.text, netip.Addr{})
			is.NoErr(err)
		}
	}
	works(nil)
	is.Equal(algorithm(), "")
	works(hasher(t))
	is.Equal(algorithm(), "") // SHA-256 it is already
	works(hasher(t, "one"))
	is.Equal(algorithm(), "hmac-sha256:one")
	works(hasher(t, "two", "one"))
	is.Equal(algorithm(), "hmac-sha256:two")
	works(hasher(t, "two"))

	var told []error
	a := f.withHasher(t, hasher(t, "one"), func(err error) { told = append(told, err) })
	for range 3 {
		_, err := a.Authenticate(t.Context(), f.text, netip.Addr{})
		is.Equal(auth.ReasonOf(err), auth.ReasonPepper)
		is.Equal(err.Error(), auth.ErrUnauthenticated.Error()) // the caller learns nothing
	}
	is.Equal(len(told), 1) // the operator does, once
	is.True(errors.Is(told[0], auth.ErrUnknownPepper))
	is.True(strings.Contains(told[0].Error(), `"two" is not configured`))
	_, err := f.withHasher(t, nil, nil).Authenticate(t.Context(), f.text, netip.Addr{})
	is.Equal(auth.ReasonOf(err), auth.ReasonPepper)
}

func TestAPepperMakesADifference(t *testing.T) {
	is := is.New(t)
	_, secret := auth.NewKey()
	plain, algorithm := hasher(t).Hash(secret)
	is.Equal(algorithm, auth.AlgorithmSHA256)
	is.Equal(plain, auth.HashSecret(secret))
	one, algorithm := hasher(t, "one").Hash(secret)
	is.Equal(algorithm, "hmac-sha256:one")
	two, _ := hasher(t, "two").Hash(secret)
	is.True(string(one) != string(plain) && string(one) != string(two))
	is.Equal(len(one), 32)

	// The same id with another secret is another pepper: nothing fits.
	f := newFixture(t, func(k *auth.Key) { k.Hash, k.Algorithm = one, "hmac-sha256:one" })
	other, err := auth.NewHasher(auth.Pepper{ID: "one", Secret: auth.NewSecret(strings.Repeat("x", 32))})
	is.NoErr(err)
	_, err = f.withHasher(t, other, nil).Authenticate(t.Context(), f.text, netip.Addr{})
	is.Equal(auth.ReasonOf(err), auth.ReasonWrongSecret)
}

// TestAPepperCanBeKnownBeforeItIsUsed: or servers that start one after the other
// would not know each other's hashes; and so is the way back to none.
func TestAPepperCanBeKnownBeforeItIsUsed(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	known, err := auth.NewHasher(auth.Pepper{ID: auth.AlgorithmSHA256}, pepper("one"))
	is.NoErr(err)
	for _, step := range []struct {
		hasher *auth.Hasher
		want   string
	}{{known, ""}, {hasher(t, "one"), "hmac-sha256:one"}, {known, auth.AlgorithmSHA256}, {nil, auth.AlgorithmSHA256}} {
		_, err := f.withHasher(t, step.hasher, func(err error) { t.Error(err) }).Authenticate(t.Context(), f.text, netip.Addr{})
		is.NoErr(err)
		key, err := f.store.Get(t.Context(), f.id)
		is.NoErr(err)
		is.Equal(key.Algorithm, step.want)
	}
}

func TestAWrongSecretRenewsNothing(t *testing.T) {
	is := is.New(t)
	f := newFixture(t, nil)
	_, other := auth.NewKey()
	_, err := f.withHasher(t, hasher(t, "one"), nil).Authenticate(t.Context(), auth.FormatKey(f.id, other).Reveal(), netip.Addr{})
	is.Equal(auth.ReasonOf(err), auth.ReasonWrongSecret)
	key, err := f.store.Get(t.Context(), f.id)
	is.NoErr(err)
	is.Equal(key.Algorithm, "")
}

func TestNewHasherSaysWhatIsWrongAndNoSecret(t *testing.T) {
	for name, peppers := range map[string][]auth.Pepper{
		"NoID":    {{Secret: pepper("one").Secret}},
		"BadID":   {{ID: "One:", Secret: pepper("one").Secret}},
		"LongID":  {{ID: strings.Repeat("a", 33), Secret: pepper("one").Secret}},
		"Short":   {{ID: "one", Secret: auth.NewSecret("oneoneone")}},
		"NoValue": {{ID: "one"}},
		"Twice":   {pepper("one"), pepper("one")},
	} {
		_, err := auth.NewHasher(peppers...)
		if err == nil || strings.Contains(err.Error(), "oneoneone") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
