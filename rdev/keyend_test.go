package rdev_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// newKey makes a key and returns the caller that presents it.
func newKey(t *testing.T, p *parts, s *rdev.Service, spec rdev.KeySpec) auth.Principal {
	t.Helper()
	key, _, err := s.CreateKey(t.Context(), auth.Admin(), spec)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := key.Principal(time.Now(), netip.MustParseAddr("10.0.0.7"))
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

// runner is a key for long commands.
func runner() rdev.KeySpec {
	return rdev.KeySpec{Name: "runner", Scopes: []auth.Scope{auth.ScopeCommandsShell, auth.ScopeCommandsGit}, Projects: []auth.Pattern{"*"}}
}

func runWith(t *testing.T, s *rdev.Service, caller auth.Principal, argv ...string) rdev.Command {
	t.Helper()
	cmd, _, err := s.Run(t.Context(), caller, shell(argv...))
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

func changeKey(t *testing.T, p *parts, id string, change func(*auth.Key)) {
	t.Helper()
	if _, err := p.keys.Update(t.Context(), id, func(k *auth.Key) error { change(k); return nil }); err != nil {
		t.Fatal(err)
	}
}

// TestCommandsEndWithTheRightToRunThem, by each change that takes it away, and
// by no other.
func TestCommandsEndWithTheRightToRunThem(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*auth.Key)
		ends   bool
	}{
		{"Revoked", func(k *auth.Key) { k.RevokedAt = time.Now() }, true},
		{"Expired", func(k *auth.Key) { k.ExpiresAt = time.Now() }, true},
		{"ExpiresSoon", func(k *auth.Key) { k.ExpiresAt = time.Now().Add(50 * time.Millisecond) }, true},
		{"ScopeGone", func(k *auth.Key) { k.Scopes = []auth.Scope{auth.ScopeCommandsGit} }, true},
		{"ProjectGone", func(k *auth.Key) { k.Projects = []auth.Pattern{"other"} }, true},
		{"OtherAddresses", func(k *auth.Key) { k.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }, true},
		{"NarrowerPolicy", func(k *auth.Key) { k.Policy = string(policy.Strict) }, true},
		{"OtherScopeGone", func(k *auth.Key) { k.Scopes = []auth.Scope{auth.ScopeCommandsShell} }, false},
		{"OtherProjectGone", func(k *auth.Key) { k.Projects = []auth.Pattern{"app"} }, false},
		{"OwnAddress", func(k *auth.Key) { k.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, false},
		{"Renamed", func(k *auth.Key) { k.Name = "another" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			p := newParts(t)
			s := p.open(t)
			caller, bystander := newKey(t, p, s, runner()), newKey(t, p, s, runner())
			cmd, other := runWith(t, s, caller, "sleep"), runWith(t, s, bystander, "sleep")
			changeKey(t, p, caller.KeyID, c.change)
			if c.ends {
				_, end := follow(t, s, cmd.ID, 0)
				is.True(strings.Contains(string(end.Data), `"state":"canceled"`))
			} else {
				// What tells of this change told of the next one, which ends it.
				is.Equal(get(t, s, cmd.ID).State, rdev.StateRunning)
				changeKey(t, p, caller.KeyID, func(k *auth.Key) { k.RevokedAt = time.Now() })
				_, end := follow(t, s, cmd.ID, 0)
				is.True(strings.Contains(string(end.Data), `"state":"canceled"`))
			}
			is.Equal(get(t, s, other.ID).State, rdev.StateRunning)
		})
	}
}

// TestAClaudeEndsWithTheRightToWidenIt: one that needed it, and no other; also
// one that another Service started, whose record says what runs.
func TestAClaudeEndsWithTheRightToWidenIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		claude policy.Claude
		ends   bool
	}{
		{"Bypass", policy.Claude{PermissionMode: "bypassPermissions"}, true},
		{"AllOfBash", policy.Claude{AllowedTools: []string{"Bash"}}, true},
		{"Plain", policy.Claude{PermissionMode: "plan"}, false},
	} {
		for _, takenOver := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, taken over %t", c.name, takenOver), func(t *testing.T) {
				is := is.New(t)
				p := newParts(t)
				p.executor.Programs["claude"] = exectest.Script{Steps: []exectest.Step{{Text: "{}\n"}, {Delay: time.Hour}}}
				s := p.open(t, func(c *rdev.Config) { c.LeaveRunning = true })
				caller := newKey(t, p, s, rdev.KeySpec{
					Name: "c", Scopes: []auth.Scope{auth.ScopeCommandsClaude, auth.ScopeClaudeUnrestricted}, Projects: []auth.Pattern{"*"},
				})
				c.claude.Prompt = "hello"
				cmd, _, err := s.Run(t.Context(), caller, rdev.Request{Project: "app", Request: policy.Request{Claude: &c.claude}})
				is.NoErr(err)
				if takenOver {
					shut(t, s)
					s = p.open(t)
				}
				narrow := func(scopes ...auth.Scope) {
					_, err = s.NarrowKey(t.Context(), auth.Admin(), caller.KeyID, rdev.KeyChange{Scopes: scopes})
					is.NoErr(err)
				}
				narrow(auth.ScopeCommandsClaude)
				if !c.ends {
					is.Equal(get(t, s, cmd.ID).State, rdev.StateRunning)
					changeKey(t, p, caller.KeyID, func(k *auth.Key) { k.RevokedAt = time.Now() })
				}
				_, end := follow(t, s, cmd.ID, 0)
				is.True(strings.Contains(string(end.Data), `"state":"canceled"`))
			})
		}
	}
}

// TestAServiceThatTakesOverEndsTheCommandsOfARevokedKey: nobody was there
// when the key was revoked.
func TestAServiceThatTakesOverEndsTheCommandsOfARevokedKey(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	first := p.open(t, func(c *rdev.Config) { c.LeaveRunning = true })
	caller := newKey(t, p, first, runner())
	cmd := runWith(t, first, caller, "sleep")
	shut(t, first)
	changeKey(t, p, caller.KeyID, func(k *auth.Key) { k.RevokedAt = time.Now() })
	second := p.open(t)
	_, end := follow(t, second, cmd.ID, 0)
	is.True(strings.Contains(string(end.Data), `"state":"canceled"`))
}

func TestCommandsMayBeLeftRunningWhenTheirKeyEnds(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := p.open(t, func(c *rdev.Config) { c.LeaveOnKeyEnd = true })
	caller := newKey(t, p, s, runner())
	cmd := runWith(t, s, caller, "sleep")
	changeKey(t, p, caller.KeyID, func(k *auth.Key) { k.RevokedAt = time.Now() })
	// There is nothing to wait for: so another one comes and goes meanwhile.
	follow(t, s, run(t, s, shell("hello")).ID, 0)
	is.Equal(get(t, s, cmd.ID).State, rdev.StateRunning)
}

// TestCommandsOfCallersWithoutAKeyGoOn: who is in no store of keys is not ended by that.
func TestCommandsOfCallersWithoutAKeyGoOn(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := p.open(t)
	own := auth.Principal{KeyID: "user-7", Scopes: auth.AllScopes(), Projects: []auth.Pattern{"*"}}
	cmd := runWith(t, s, own, "sleep")
	follow(t, s, runWith(t, s, own, "hello").ID, 0)
	is.Equal(get(t, s, cmd.ID).State, rdev.StateRunning)
}

func TestAKeyCanOnlyBecomeNarrower(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := p.open(t)
	ctx := context.Background()
	list := func(texts ...string) []netip.Prefix {
		found, err := auth.ParsePrefixes(texts)
		is.NoErr(err)
		return found
	}
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	spec := rdev.KeySpec{Name: "k", Scopes: []auth.Scope{auth.ScopeCommandsGit, auth.ScopeCommandsShell}, Projects: []auth.Pattern{"team-*"},
		Policy: policy.Restricted, ExpiresAt: end, AllowedAddresses: list("10.0.0.0/8")}
	key, _, err := s.CreateKey(ctx, auth.Admin(), spec)
	is.NoErr(err)
	is.Equal(key.AllowedAddresses, list("10.0.0.0/8"))

	for name, change := range map[string]rdev.KeyChange{
		"more scopes":    {Scopes: []auth.Scope{auth.ScopeCommandsGit, auth.ScopeKeysWrite}},
		"more projects":  {Projects: []auth.Pattern{"*"}},
		"a wider policy": {Policy: policy.Permissive},
		"more time":      {ExpiresAt: end.Add(time.Second)},
	} {
		_, err := s.NarrowKey(ctx, auth.Admin(), key.ID, change) // not even the admin key
		is.True(errors.Is(err, rdev.ErrForbidden))
		is.True(strings.Contains(err.Error(), name))
	}
	for field, change := range map[string]rdev.KeyChange{
		"scopes":               {Scopes: []auth.Scope{}},
		"scopes[0]":            {Scopes: []auth.Scope{"root"}},
		"projects":             {Projects: []auth.Pattern{}},
		"policy":               {Policy: "lax"},
		"expires_at":           {ExpiresAt: time.Now().Add(-time.Second)},
		"allowed_addresses[0]": {AllowedAddresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}},
		"allowed_addresses":    {AllowedAddresses: make([]netip.Prefix, auth.MaxAddresses+1)},
	} {
		_, err := s.NarrowKey(ctx, auth.Admin(), key.ID, change)
		var wrong *rdev.ArgumentError
		is.True(errors.As(err, &wrong))
		is.Equal(wrong.Field, field)
	}
	same, err := s.NarrowKey(ctx, auth.Admin(), key.ID, rdev.KeyChange{})
	is.NoErr(err)
	is.Equal(same, key)

	after, err := s.NarrowKey(ctx, auth.Admin(), key.ID, rdev.KeyChange{
		Scopes: []auth.Scope{auth.ScopeCommandsGit}, Projects: []auth.Pattern{"team-a-*", "team-b"}, Policy: policy.Strict,
		ExpiresAt: end.Add(-time.Minute), AllowedAddresses: list("192.0.2.0/24"),
	})
	is.NoErr(err)
	is.Equal(after.Scopes, []auth.Scope{auth.ScopeCommandsGit})
	is.Equal(after.Projects, []auth.Pattern{"team-a-*", "team-b"})
	is.Equal(after.Policy, string(policy.Strict))
	is.Equal(after.ExpiresAt, end.Add(-time.Minute))
	is.Equal(after.AllowedAddresses, list("192.0.2.0/24"))
	anywhere, err := s.NarrowKey(ctx, auth.Admin(), key.ID, rdev.KeyChange{AllowedAddresses: []netip.Prefix{}})
	is.NoErr(err)
	is.Equal(len(anywhere.AllowedAddresses), 0)

	_, err = s.RevokeKey(ctx, auth.Admin(), key.ID)
	is.NoErr(err)
	_, err = s.NarrowKey(ctx, auth.Admin(), key.ID, rdev.KeyChange{Policy: policy.Strict})
	is.True(errors.Is(err, rdev.ErrStaleState))
}

// TestNoKeyReachesFurtherThanItsMaker: a key with a list of addresses makes,
// changes, rotates and sees none that works elsewhere.
func TestNoKeyReachesFurtherThanItsMaker(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := p.open(t)
	ctx := context.Background()
	within, elsewhere := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	keys := []auth.Scope{auth.ScopeKeysRead, auth.ScopeKeysWrite}
	maker := newKey(t, p, s, rdev.KeySpec{Name: "maker", Scopes: keys, Projects: []auth.Pattern{"*"},
		AllowedAddresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	spec := rdev.KeySpec{Name: "made", Scopes: keys, Projects: []auth.Pattern{"app"}}

	made, _, err := s.CreateKey(ctx, maker, spec)
	is.NoErr(err)
	is.Equal(made.AllowedAddresses, maker.AllowedAddresses) // its maker's, if it names none
	spec.AllowedAddresses = within
	_, _, err = s.CreateKey(ctx, maker, spec)
	is.NoErr(err)
	spec.AllowedAddresses = elsewhere
	_, _, err = s.CreateKey(ctx, maker, spec)
	is.True(errors.Is(err, rdev.ErrForbidden))

	for _, list := range [][]netip.Prefix{elsewhere, {}} {
		_, err = s.NarrowKey(ctx, maker, made.ID, rdev.KeyChange{AllowedAddresses: list})
		is.True(errors.Is(err, rdev.ErrForbidden))
	}
	_, err = s.NarrowKey(ctx, maker, made.ID, rdev.KeyChange{AllowedAddresses: within})
	is.NoErr(err)
	next, _, err := s.RotateKey(ctx, maker, made.ID, time.Minute)
	is.NoErr(err)
	is.Equal(next.AllowedAddresses, within)
	is.Equal(next.Replaces, made.ID)

	for _, free := range [][]netip.Prefix{nil, elsewhere} {
		other := newKey(t, p, s, rdev.KeySpec{Name: "other", Scopes: keys, Projects: []auth.Pattern{"app"}})
		_, err = s.NarrowKey(ctx, auth.Admin(), other.KeyID, rdev.KeyChange{AllowedAddresses: free})
		is.NoErr(err)
		_, err = s.Key(ctx, maker, other.KeyID)
		is.True(errors.Is(err, auth.ErrKeyNotFound))
		_, _, err = s.RotateKey(ctx, maker, other.KeyID, 0)
		is.True(errors.Is(err, auth.ErrKeyNotFound))
		_, err = s.NarrowKey(ctx, maker, other.KeyID, rdev.KeyChange{})
		is.True(errors.Is(err, auth.ErrKeyNotFound))
		page, err := s.Keys(ctx, maker, "", 0)
		is.NoErr(err)
		for _, k := range page.Keys {
			is.True(k.ID != other.KeyID)
		}
	}
}
