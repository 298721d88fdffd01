package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/client"
)

func keySpec() rdev.KeySpec {
	return rdev.KeySpec{Name: "made", Scopes: []auth.Scope{auth.ScopeProjectsRead}, Projects: []auth.Pattern{"web"}}
}

func TestKeys(t *testing.T) {
	st := newStand(t, nil)
	admin := st.client(adminKey, nil)
	spec := client.KeySpec{Name: "ci", Scopes: []string{"projects:read", "keys:read"}, Projects: []string{"web"}}

	t.Run("TheSecretIsShownOnceAndWorks", func(t *testing.T) {
		is := is.New(t)
		key, err := admin.CreateKey(t.Context(), spec)
		is.NoErr(err)
		_, err = st.client(key.Secret, nil).Projects(t.Context())
		is.NoErr(err)
		a := st.do("GET", "/keys/"+key.ID, "")
		is.Equal(a.status, http.StatusOK)
		is.True(!strings.Contains(a.body, "secret"))
		is.True(!strings.Contains(st.do("GET", "/keys", "").body, key.Secret))
	})

	t.Run("ARevokedKeyStopsWorkingAtOnce", func(t *testing.T) {
		is := is.New(t)
		key, err := admin.CreateKey(t.Context(), spec)
		is.NoErr(err)
		for range 2 {
			revoked, err := admin.RevokeKey(t.Context(), key.ID)
			is.NoErr(err)
			is.True(!revoked.RevokedAt.IsZero())
		}
		_, err = st.client(key.Secret, nil).Projects(t.Context())
		is.True(errors.Is(err, client.Unauthenticated))
	})

	t.Run("RotationKeepsTheOldKeyForTheGrace", func(t *testing.T) {
		is := is.New(t)
		key, err := admin.CreateKey(t.Context(), spec)
		is.NoErr(err)
		next, err := admin.RotateKey(t.Context(), key.ID, time.Hour)
		is.NoErr(err)
		for _, secret := range []string{key.Secret, next.Secret} {
			_, err = st.client(secret, nil).Projects(t.Context())
			is.NoErr(err)
		}
		_, err = admin.RotateKey(t.Context(), key.ID, 0)
		is.True(errors.Is(err, client.Conflict))

		last, err := admin.RotateKey(t.Context(), next.ID, -1) // at once
		is.NoErr(err)
		_, err = st.client(next.Secret, nil).Projects(t.Context())
		is.True(errors.Is(err, client.Unauthenticated))
		_, err = st.client(last.Secret, nil).Projects(t.Context())
		is.NoErr(err)
	})

	t.Run("PagesAreInOrder", func(t *testing.T) {
		is := is.New(t)
		all, err := admin.Keys(t.Context(), "", 200)
		is.NoErr(err)
		var paged []client.Key
		for cursor := ""; ; {
			page, err := admin.Keys(t.Context(), cursor, 2)
			is.NoErr(err)
			paged = append(paged, page.Keys...)
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		is.Equal(paged, all.Keys)
		_, err = admin.Keys(t.Context(), "Zm9v", 0) // well-formed, and no key
		is.True(errors.Is(err, client.InvalidArgument))
	})

	t.Run("NoKeyMakesABroaderOne", func(t *testing.T) {
		is := is.New(t)
		maker := st.client(st.key([]auth.Scope{auth.ScopeKeysWrite}, "web"), nil)
		_, err := maker.CreateKey(t.Context(), spec)
		is.True(errors.Is(err, client.Forbidden))
	})

	t.Run("UnknownKeysAreNotFound", func(t *testing.T) {
		is := is.New(t)
		_, err := admin.Key(t.Context(), "000000000000")
		is.True(errors.Is(err, client.KeyNotFound))
	})
}

// TestExpiryIsAnnounced: in the last days of a key, and in no other answer.
func TestExpiryIsAnnounced(t *testing.T) {
	is := is.New(t)
	st := newStand(t, func(up *setup) { up.config.KeyExpiryWarning = time.Hour })
	st.command("quiet", rdev.StateRunning)
	make := func(d time.Duration) (string, time.Time) {
		key, secret, err := st.svc.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{
			Name: "k", Scopes: []auth.Scope{auth.ScopeProjectsRead, auth.ScopeStreamsRead}, Projects: []auth.Pattern{"web"}, ExpiresAt: time.Now().Add(d),
		})
		is.NoErr(err)
		return secret.Reveal(), key.ExpiresAt
	}
	soon, end := make(30 * time.Minute)
	late, _ := make(2 * time.Hour)
	endless := st.key([]auth.Scope{auth.ScopeProjectsRead}, "web")
	want := end.UTC().Format(time.RFC3339)
	is.Equal(st.do("GET", "/projects", "", "Authorization", "Bearer "+soon).header.Get("Rdev-Key-Expires"), want)
	is.Equal(st.do("GET", "/keys", "", "Authorization", "Bearer "+soon).header.Get("Rdev-Key-Expires"), want) // 403 as well
	resp, _ := openStream(t, st, "quiet", "Authorization", "Bearer "+soon)
	is.Equal(resp.Header.Get("Rdev-Key-Expires"), want)
	for _, other := range []string{late, endless, adminKey, unknownKey()} {
		is.Equal(st.do("GET", "/projects", "", "Authorization", "Bearer "+other).header.Get("Rdev-Key-Expires"), "")
	}
	var told []time.Time
	c := st.client(soon, &client.Options{OnKeyExpiry: func(at time.Time) { told = append(told, at) }})
	_, err := c.Projects(t.Context())
	is.NoErr(err)
	is.Equal(len(told), 1)
	is.True(told[0].Equal(end.Truncate(time.Second)))
}
