package auth_test

import (
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

func TestScopes(t *testing.T) {
	is := is.New(t)
	seen := map[auth.Scope]bool{}
	for _, scope := range auth.AllScopes() {
		is.True(scope.Valid())
		is.True(!seen[scope]) // a scope is listed once
		seen[scope] = true
	}
	is.Equal(len(seen), 12)
	for _, scope := range []auth.Scope{"", "*", "commands:*", "COMMANDS:READ", "commands:read "} {
		is.True(!scope.Valid())
	}
}

func TestPrincipalIsLimitedToItsKey(t *testing.T) {
	is := is.New(t)
	p := auth.Principal{
		Scopes:   []auth.Scope{auth.ScopeCommandsGit, auth.ScopeKeysWrite},
		Projects: []auth.Pattern{"api", "team-a-*"},
	}
	is.True(p.Can(auth.ScopeCommandsGit))
	is.True(!p.Can(auth.ScopeCommandsShell))
	is.True(p.Sees("api"))
	is.True(p.Sees("team-a-web"))
	is.True(!p.Sees("team-b-web"))

	is.True(p.Covers(nil, nil))
	is.True(p.Covers([]auth.Scope{auth.ScopeCommandsGit}, []auth.Pattern{"team-a-web-*", "api"}))
	is.True(!p.Covers([]auth.Scope{auth.ScopeCommandsShell}, []auth.Pattern{"api"}))
	is.True(!p.Covers([]auth.Scope{auth.ScopeCommandsGit}, []auth.Pattern{"api", "*"}))
	is.True(!p.Covers([]auth.Scope{auth.ScopeCommandsGit}, []auth.Pattern{"ap*"}))
}

func TestThePrincipalOfNothingMayDoNothing(t *testing.T) {
	is := is.New(t)
	var p auth.Principal
	for _, scope := range auth.AllScopes() {
		is.True(!p.Can(scope))
	}
	is.True(!p.Sees("api"))
	is.True(!p.Covers([]auth.Scope{auth.ScopeProjectsRead}, nil))
	is.True(!p.Covers(nil, []auth.Pattern{"api"}))
}

func TestAdminMayDoEverything(t *testing.T) {
	is := is.New(t)
	p := auth.Admin()
	is.Equal(p.KeyID, auth.AdminID)
	is.True(p.Admin)
	for _, scope := range auth.AllScopes() {
		is.True(p.Can(scope))
	}
	is.True(p.Sees("anything"))
	is.True(p.Covers(auth.AllScopes(), []auth.Pattern{auth.AllProjects}))
}
