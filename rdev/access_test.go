package rdev_test

import (
	"errors"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// TestEveryMethodChecksTheCaller calls each method with everything but the one
// scope that it needs, with that scope alone, and with it for another project.
func TestEveryMethodChecksTheCaller(t *testing.T) {
	s := newParts(t).open(t)
	ctx := t.Context()
	cmd := run(t, s, shell("hello"))
	follow(t, s, cmd.ID, 0)
	key, _, err := s.CreateKey(ctx, auth.Admin(), rdev.KeySpec{Name: "k", Scopes: []auth.Scope{auth.ScopeKeysRead}, Projects: []auth.Pattern{"other"}})
	if err != nil {
		t.Fatal(err)
	}
	start := func(r policy.Request) func(auth.Principal) error {
		return func(p auth.Principal) error {
			_, _, err := s.Run(ctx, p, rdev.Request{Project: "app", Request: r})
			return err
		}
	}
	for _, m := range []struct {
		name  string
		scope auth.Scope
		// inProject says that the method is about a project, which a key for
		// another one must not find.
		inProject bool
		call      func(auth.Principal) error
	}{
		{"Projects", auth.ScopeProjectsRead, false, func(p auth.Principal) error { _, err := s.Projects(ctx, p); return err }},
		{"Project", auth.ScopeProjectsRead, true, func(p auth.Principal) error { _, err := s.Project(ctx, p, "app"); return err }},
		{"Run shell", auth.ScopeCommandsShell, true, start(policy.Request{Shell: &policy.Shell{Argv: []string{"hello"}}})},
		{"Run git", auth.ScopeCommandsGit, true, start(policy.Request{Git: &policy.Git{Args: []string{"status"}}})},
		{"Run claude", auth.ScopeCommandsClaude, true, start(policy.Request{Claude: &policy.Claude{Prompt: "hello"}})},
		{"Get", auth.ScopeCommandsRead, true, func(p auth.Principal) error { _, err := s.Get(ctx, p, "app", cmd.ID); return err }},
		{"List", auth.ScopeCommandsRead, true, func(p auth.Principal) error {
			_, err := s.List(ctx, p, rdev.ListOptions{Project: "app"})
			return err
		}},
		{"Cancel", auth.ScopeCommandsCancel, true, func(p auth.Principal) error { _, err := s.Cancel(ctx, p, "app", cmd.ID); return err }},
		{"Subscribe", auth.ScopeStreamsRead, true, func(p auth.Principal) error {
			sub, _, err := s.Subscribe(ctx, p, "app", cmd.ID, 0)
			if err == nil {
				sub.Close()
			}
			return err
		}},
		{"Keys", auth.ScopeKeysRead, false, func(p auth.Principal) error { _, err := s.Keys(ctx, p, "", 0); return err }},
		{"Key", auth.ScopeKeysRead, false, func(p auth.Principal) error { _, err := s.Key(ctx, p, key.ID); return err }},
		{"CreateKey", auth.ScopeKeysWrite, false, func(p auth.Principal) error {
			_, _, err := s.CreateKey(ctx, p, rdev.KeySpec{Name: "n", Scopes: p.Scopes[:1], Projects: []auth.Pattern{"app"}})
			return err
		}},
		{"NarrowKey", auth.ScopeKeysWrite, false, func(p auth.Principal) error {
			_, err := s.NarrowKey(ctx, p, key.ID, rdev.KeyChange{})
			return err
		}},
		{"RevokeKey", auth.ScopeKeysWrite, false, func(p auth.Principal) error { _, err := s.RevokeKey(ctx, p, key.ID); return err }},
	} {
		t.Run(m.name, func(t *testing.T) {
			is := is.New(t)
			var others []auth.Scope
			for _, scope := range auth.AllScopes() {
				if scope != m.scope {
					others = append(others, scope)
				}
			}
			is.True(errors.Is(m.call(auth.Principal{KeyID: "k", Scopes: others, Projects: []auth.Pattern{"*"}}), rdev.ErrForbidden)) // all but the one
			err := m.call(auth.Principal{KeyID: "k", Scopes: []auth.Scope{m.scope}, Projects: []auth.Pattern{"app", "other"}})
			is.True(!errors.Is(err, rdev.ErrForbidden)) // the one is enough
			if m.inProject {
				err := m.call(auth.Principal{KeyID: "k", Scopes: auth.AllScopes(), Projects: []auth.Pattern{"other"}})
				is.True(errors.Is(err, rdev.ErrProjectNotFound)) // as if it were not there
			}
		})
	}
}

func TestCommandsOfAnotherProjectAreNotFound(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	cmd := run(t, s, shell("hello"))
	_, err := s.Get(t.Context(), auth.Admin(), "other", cmd.ID)
	is.True(errors.Is(err, rdev.ErrCommandNotFound)) // though the caller may see both
	_, _, err = s.Subscribe(t.Context(), auth.Admin(), "other", cmd.ID, 0)
	is.True(errors.Is(err, rdev.ErrCommandNotFound))
	_, err = s.Cancel(t.Context(), auth.Admin(), "other", cmd.ID)
	is.True(errors.Is(err, rdev.ErrCommandNotFound))
}

func TestRefusedRequestsLeaveNothing(t *testing.T) {
	s := newParts(t).open(t, func(c *rdev.Config) { c.MaxTimeout = time.Hour })
	for _, c := range []struct {
		name string
		edit func(*rdev.Request)
		want error
		code rdev.Code
	}{
		{"unknown project", func(r *rdev.Request) { r.Project = "none" }, rdev.ErrProjectNotFound, rdev.CodeProjectNotFound},
		{"empty command", func(r *rdev.Request) { r.Shell.Argv = nil }, exec.ErrInvalidCommand, rdev.CodeInvalidArgument},
		{"NUL", func(r *rdev.Request) { r.Shell.Argv = []string{"hello", "a\x00b"} }, exec.ErrInvalidCommand, rdev.CodeInvalidArgument},
		{"invalid UTF-8", func(r *rdev.Request) { r.Shell.Argv = []string{"hello", "\xff"} }, exec.ErrInvalidCommand, rdev.CodeInvalidArgument},
		{"chaining", func(r *rdev.Request) { *r.Shell = policy.Shell{Command: "hello; fail"} }, policy.ErrRefused, rdev.CodeCommandRejected},
		{"long timeout", func(r *rdev.Request) { r.Timeout = 2 * time.Hour }, rdev.ErrInvalidArgument, rdev.CodeInvalidArgument},
		{"negative timeout", func(r *rdev.Request) { r.Timeout = -1 }, rdev.ErrInvalidArgument, rdev.CodeInvalidArgument},
		{"spaces in the idempotency key", func(r *rdev.Request) { r.IdempotencyKey = "a b" }, rdev.ErrInvalidArgument, rdev.CodeInvalidArgument},
		{"folder outside the project", func(r *rdev.Request) { r.Dir = "a/../../b" }, exec.ErrInvalidCommand, rdev.CodeInvalidArgument},
		{"folder from the root", func(r *rdev.Request) { r.Dir = "/etc" }, exec.ErrInvalidCommand, rdev.CodeInvalidArgument},
		{"name in the environment", func(r *rdev.Request) { r.Env = map[string]string{"A=B": "c"} }, exec.ErrInvalidCommand, rdev.CodeInvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			req := shell("hello")
			c.edit(&req)
			_, _, err := s.Run(t.Context(), auth.Admin(), req)
			is.True(errors.Is(err, c.want)) // says what is wrong
			is.Equal(rdev.CodeOf(err), c.code)
			page, err := s.List(t.Context(), auth.Admin(), rdev.ListOptions{Project: "app"})
			is.NoErr(err)
			is.Equal(len(page.Commands), 0) // never became a command
		})
	}
}

func TestNoKeyIsBroaderThanItsMaker(t *testing.T) {
	s := newParts(t).open(t)
	end := time.Now().Add(time.Hour)
	maker := auth.Principal{KeyID: "maker", ExpiresAt: end,
		Scopes: []auth.Scope{auth.ScopeKeysWrite, auth.ScopeKeysRead, auth.ScopeCommandsGit}, Projects: []auth.Pattern{"team-*"}}
	for _, c := range []struct {
		name string
		spec rdev.KeySpec
		ok   bool
	}{
		{"a narrower one", rdev.KeySpec{Scopes: []auth.Scope{auth.ScopeCommandsGit}, Projects: []auth.Pattern{"team-a"}}, true},
		{"another scope", rdev.KeySpec{Scopes: []auth.Scope{auth.ScopeCommandsShell}, Projects: []auth.Pattern{"team-a"}}, false},
		{"another project", rdev.KeySpec{Scopes: []auth.Scope{auth.ScopeCommandsGit}, Projects: []auth.Pattern{"app"}}, false},
		{"all projects", rdev.KeySpec{Scopes: []auth.Scope{auth.ScopeCommandsGit}, Projects: []auth.Pattern{"*"}}, false},
		{"a longer life", rdev.KeySpec{Scopes: []auth.Scope{auth.ScopeCommandsGit}, Projects: []auth.Pattern{"team-a"}, ExpiresAt: end.Add(time.Second)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			c.spec.Name = "made"
			key, secret, err := s.CreateKey(t.Context(), maker, c.spec)
			if !c.ok {
				is.True(errors.Is(err, rdev.ErrForbidden))
				return
			}
			is.NoErr(err)
			is.True(!key.ExpiresAt.After(end)) // ends with its maker at the latest
			id, _, err := auth.ParseKey(secret.Reveal())
			is.NoErr(err)
			is.Equal(id, key.ID) // the secret is the whole key
		})
	}
	t.Run("broader keys are as if not there", func(t *testing.T) {
		is := is.New(t)
		broad, _, err := s.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{Name: "broad", Scopes: auth.AllScopes(), Projects: []auth.Pattern{"*"}})
		is.NoErr(err)
		_, err = s.Key(t.Context(), maker, broad.ID)
		is.True(errors.Is(err, auth.ErrKeyNotFound))
		_, err = s.RevokeKey(t.Context(), maker, broad.ID)
		is.True(errors.Is(err, auth.ErrKeyNotFound))
		_, _, err = s.RotateKey(t.Context(), maker, broad.ID, 0)
		is.True(errors.Is(err, auth.ErrKeyNotFound))
		page, err := s.Keys(t.Context(), maker, "", 0)
		is.NoErr(err)
		for _, k := range page.Keys {
			is.True(k.ID != broad.ID)
		}
	})
}

func TestRotationKeepsTheOldKeyForItsGrace(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := p.open(t)
	old, _, err := s.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{Name: "old", Scopes: []auth.Scope{auth.ScopeCommandsGit}, Projects: []auth.Pattern{"app"}})
	is.NoErr(err)
	before := time.Now()
	next, _, err := s.RotateKey(t.Context(), auth.Admin(), old.ID, time.Hour)
	is.NoErr(err)
	is.Equal(next.Scopes, old.Scopes)     // the same grants
	is.Equal(next.Projects, old.Projects) // for the same projects
	got, err := s.Key(t.Context(), auth.Admin(), old.ID)
	is.NoErr(err)
	is.Equal(got.ReplacedBy, next.ID)
	is.True(got.ExpiresAt.After(before.Add(59*time.Minute)) && got.ExpiresAt.Before(time.Now().Add(time.Hour))) // an hour more
	_, _, err = s.RotateKey(t.Context(), auth.Admin(), old.ID, time.Hour)
	is.True(errors.Is(err, auth.ErrKeyReplaced)) // one successor
	_, err = s.RevokeKey(t.Context(), auth.Admin(), next.ID)
	is.NoErr(err)
	_, _, err = s.RotateKey(t.Context(), auth.Admin(), next.ID, time.Hour)
	is.True(errors.Is(err, rdev.ErrStaleState)) // it has ended
}

func TestListPages(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	var ids []string
	for range 7 {
		cmd := run(t, s, shell("hello"))
		ids = append(ids, cmd.ID)
	}
	var got []string
	opts := rdev.ListOptions{Project: "app", Limit: 3}
	for {
		page, err := s.List(t.Context(), auth.Admin(), opts)
		is.NoErr(err)
		for _, c := range page.Commands {
			got = append(got, c.ID)
		}
		if page.Next == "" {
			break
		}
		opts.Cursor = page.Next
	}
	is.Equal(len(got), len(ids)) // each once
	seen := map[string]bool{}
	for i, id := range got {
		is.True(i == 0 || id < got[i-1]) // newest first
		seen[id] = true
	}
	is.Equal(len(seen), len(ids))
	_, err := s.List(t.Context(), auth.Admin(), rdev.ListOptions{Project: "app", Limit: rdev.MaxPage + 1})
	is.True(errors.Is(err, rdev.ErrInvalidArgument))
}

func TestAShellKeyCannotSpellAnotherType(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	shellOnly := auth.Principal{KeyID: "k", Scopes: []auth.Scope{auth.ScopeCommandsShell}, Projects: []auth.Pattern{"app"}}
	for _, argv := range [][]string{{"git", "status"}, {"claude", "-p", "hello"}} {
		_, _, err := s.Run(t.Context(), shellOnly, shell(argv...))
		is.True(errors.Is(err, rdev.ErrForbidden)) // it needs that type's scope
	}
	req := rdev.Request{Project: "app", Request: policy.Request{
		Git: &policy.Git{Args: []string{"status"}}, Env: map[string]string{"GIT_SSH_COMMAND": "evil"},
	}}
	_, _, err := s.Run(t.Context(), auth.Admin(), req)
	is.True(errors.Is(err, policy.ErrRefused)) // nor does the environment open git
	cmd := run(t, s, rdev.Request{Project: "app", Request: policy.Request{Git: &policy.Git{Args: []string{"status", "--short"}}}})
	is.Equal(cmd.Argv, []string{"git", "status", "--short"}) // the record says what was asked for
}
