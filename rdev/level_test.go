package rdev_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// TestAProjectsLevelReplacesTheServices asks in projects of every level, on a
// Service of every level, for what tells the levels apart: a program that no
// list has, and text for a shell.
func TestAProjectsLevelReplacesTheServices(t *testing.T) {
	requests := map[string]rdev.Request{
		"hello":      shell("hello"),
		"hello; sh ": {Request: policy.Request{Shell: &policy.Shell{Command: "hello; sh "}}},
	}
	allowed := map[policy.Level][]string{policy.Strict: nil, policy.Restricted: {"hello"}, policy.Permissive: {"hello", "hello; sh "}}
	for _, server := range []policy.Level{policy.Strict, policy.Restricted, policy.Permissive} {
		s := newParts(t).open(t, func(c *rdev.Config) {
			c.Policy = policy.Policy{Level: server, AllowShell: server == policy.Permissive}
			c.Projects = rdev.FixedProjects(rdev.Project{Name: "none"}, rdev.Project{Name: "strict", Policy: policy.Strict},
				rdev.Project{Name: "restricted", Policy: policy.Restricted}, rdev.Project{Name: "permissive", Policy: policy.Permissive})
		})
		for project, level := range map[string]policy.Level{"none": server, "strict": policy.Strict, "restricted": policy.Restricted, "permissive": policy.Permissive} {
			t.Run(string(server)+" server, project "+project, func(t *testing.T) {
				is := is.New(t)
				for text, req := range requests {
					req.Project = project
					_, _, err := s.Run(t.Context(), auth.Admin(), req)
					is.Equal(err == nil, slices.Contains(allowed[level], text))
					is.True(err == nil || errors.Is(err, policy.ErrRefused))
				}
			})
		}
	}
}

func TestAProjectOfAnUnknownLevelAllowsNothing(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t, func(c *rdev.Config) { c.Projects = unchecked{{Name: "app", Policy: "lax"}} })
	_, _, err := s.Run(t.Context(), auth.Admin(), shell("hello"))
	is.True(errors.Is(err, policy.ErrRefused))
}

// unchecked are projects as discovery may find them.
type unchecked []rdev.Project

func (u unchecked) List(context.Context) ([]rdev.Project, error) { return u, nil }

func (u unchecked) Get(_ context.Context, name string) (rdev.Project, error) {
	for _, p := range u {
		if p.Name == name {
			return p, nil
		}
	}
	return rdev.Project{}, rdev.ErrProjectNotFound
}

// TestEveryLevelAndScope asks, for every combination of the project's level,
// the key's bound and its scopes, for one thing that each level and scope is
// about.
func TestEveryLevelAndScope(t *testing.T) {
	all := []policy.Level{policy.Strict, policy.Restricted, policy.Permissive}
	var projects []rdev.Project
	for _, level := range all {
		projects = append(projects, rdev.Project{Name: string(level), Policy: level})
	}
	s := newParts(t).open(t, func(c *rdev.Config) {
		// What a Config allows is not what a caller may do.
		c.Policy.AllowShell, c.Policy.WidenClaude = true, true
		c.Projects = rdev.FixedProjects(projects...)
	})
	claude := func(mode string, tools ...string) policy.Request {
		return policy.Request{Claude: &policy.Claude{Prompt: "x", PermissionMode: mode, AllowedTools: tools}}
	}
	for name, c := range map[string]struct {
		request policy.Request
		narrow  policy.Level // the narrowest level that allows it
		scope   auth.Scope   // and the scope that it needs besides
	}{
		"git":              {request: policy.Request{Git: &policy.Git{Args: []string{"status"}}}, narrow: policy.Strict},
		"a program":        {request: shell("hello").Request, narrow: policy.Restricted},
		"a shell":          {request: policy.Request{Shell: &policy.Shell{Command: "hello; hello"}}, narrow: policy.Permissive, scope: auth.ScopeShellUnrestricted},
		"sh -c":            {request: policy.Request{Shell: &policy.Shell{Argv: []string{"sh", "-c", "hello"}}}, narrow: policy.Permissive, scope: auth.ScopeShellUnrestricted},
		"a prompt":         {request: claude("plan"), narrow: policy.Strict},
		"no questions":     {request: claude("bypassPermissions"), narrow: policy.Restricted, scope: auth.ScopeClaudeUnrestricted},
		"automatic":        {request: claude("auto"), narrow: policy.Restricted, scope: auth.ScopeClaudeUnrestricted},
		"any tool":         {request: claude("", "Bash"), narrow: policy.Restricted, scope: auth.ScopeClaudeUnrestricted},
		"a tool that acts": {request: claude("", "Edit"), narrow: policy.Restricted},
	} {
		t.Run(name, func(t *testing.T) {
			for _, project := range projects {
				for _, bound := range append([]policy.Level{""}, all...) {
					for _, scope := range []auth.Scope{"", auth.ScopeShellUnrestricted, auth.ScopeClaudeUnrestricted} {
						caller := auth.Principal{KeyID: "k", Projects: []auth.Pattern{"*"}, Policy: string(bound),
							Scopes: []auth.Scope{auth.ScopeCommandsClaude, auth.ScopeCommandsGit, auth.ScopeCommandsShell, scope}}
						level := project.Policy
						if bound != "" {
							level = level.Min(bound)
						}
						want := level.Min(c.narrow) == c.narrow && (c.scope == "" || c.scope == scope)
						cmd, _, err := s.Run(t.Context(), caller, rdev.Request{Project: project.Name, Request: c.request})
						var refusal *policy.Refusal
						switch {
						case (err == nil) != want:
							t.Errorf("project %s, key %q, scope %q: got the error %v", project.Policy, bound, scope, err)
						case err == nil:
							if level == policy.Permissive && scope != auth.ScopeShellUnrestricted {
								level = policy.Restricted
							}
							if cmd.Policy != level {
								t.Errorf("project %s, key %q, scope %q: the record says %q", project.Policy, bound, scope, cmd.Policy)
							}
						case !errors.As(err, &refusal):
							t.Errorf("got the error %v, want a Refusal", err)
						default:
							for _, need := range []struct {
								text string
								is   bool
							}{
								{"the policy " + string(c.narrow) + " for the project", project.Policy.Min(c.narrow) != c.narrow},
								{"not held to the policy " + string(bound), bound != "" && bound.Min(c.narrow) != c.narrow},
								{"the scope " + string(c.scope), c.scope != "" && c.scope != scope},
							} {
								if strings.Contains(refusal.Hint, need.text) != need.is {
									t.Errorf("project %s, key %q, scope %q: the hint is %q", project.Policy, bound, scope, refusal.Hint)
								}
							}
						}
					}
				}
			}
		})
	}
}

func TestWhatNothingAllowsHasNoHint(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	_, _, err := s.Run(t.Context(), auth.Admin(), rdev.Request{Project: "app", Request: policy.Request{Git: &policy.Git{Args: []string{"log", "--output=x"}}}})
	var refusal *policy.Refusal
	is.True(errors.As(err, &refusal))
	is.Equal(refusal.Hint, "")
}

func TestAKeysPolicyIsNoWiderThanItsMakers(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	maker := auth.Principal{KeyID: "maker", Scopes: auth.AllScopes(), Projects: []auth.Pattern{"*"}, Policy: "restricted"}
	spec := func(level policy.Level) rdev.KeySpec {
		return rdev.KeySpec{Name: "k", Scopes: []auth.Scope{auth.ScopeCommandsShell}, Projects: []auth.Pattern{"app"}, Policy: level}
	}
	for level, want := range map[policy.Level]string{"": "restricted", policy.Strict: "strict", policy.Restricted: "restricted"} {
		key, _, err := s.CreateKey(t.Context(), maker, spec(level))
		is.NoErr(err)
		is.Equal(key.Policy, want) // none is its maker's
		next, _, err := s.RotateKey(t.Context(), maker, key.ID, 0)
		is.NoErr(err)
		is.Equal(next.Policy, want) // and its successor's
	}
	_, _, err := s.CreateKey(t.Context(), maker, spec(policy.Permissive))
	is.True(errors.Is(err, rdev.ErrForbidden))
	_, _, err = s.CreateKey(t.Context(), maker, spec("lax"))
	is.True(errors.Is(err, rdev.ErrInvalidArgument))
	for _, level := range []policy.Level{"", policy.Permissive} {
		wide, _, err := s.CreateKey(t.Context(), auth.Admin(), spec(level))
		is.NoErr(err)
		_, err = s.Key(t.Context(), maker, wide.ID)
		is.True(errors.Is(err, auth.ErrKeyNotFound)) // a wider one is as if it were not there
	}
	narrow, secret, err := s.CreateKey(t.Context(), auth.Admin(), spec(policy.Strict))
	is.NoErr(err)
	is.True(secret.Reveal() != "")
	_, err = s.Key(t.Context(), maker, narrow.ID)
	is.NoErr(err)
}
