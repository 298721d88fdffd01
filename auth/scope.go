package auth

import "slices"

// A Scope is one kind of thing that a key may do, in every project that it
// sees. Scopes are part of the API: they are stored, sent and never renamed.
type Scope string

// The scopes.
const (
	ScopeProjectsRead   Scope = "projects:read"
	ScopeCommandsClaude Scope = "commands:claude" // run Claude Code prompts
	ScopeCommandsShell  Scope = "commands:shell"  // run shell commands
	ScopeCommandsGit    Scope = "commands:git"    // run git commands
	// ScopeShellUnrestricted lets commands:shell give text to a shell, in
	// projects whose policy is permissive. It does nothing in others.
	ScopeShellUnrestricted Scope = "commands:shell:unrestricted"
	// ScopeClaudeUnrestricted lets commands:claude take the questions out of
	// claude's permission system, in projects whose policy is not strict.
	ScopeClaudeUnrestricted Scope = "commands:claude:unrestricted"
	ScopeCommandsRead       Scope = "commands:read" // see which commands ran, and how they ended
	ScopeCommandsCancel     Scope = "commands:cancel"
	ScopeStreamsRead        Scope = "streams:read" // see what commands print
	ScopeKeysRead           Scope = "keys:read"
	ScopeKeysWrite          Scope = "keys:write" // make, rotate and revoke keys, none broader than its own
	ScopeAuditRead          Scope = "audit:read" // see the audit log, of the projects that it sees
)

// AllScopes returns every scope there is, in the order of the API's
// documentation.
func AllScopes() []Scope {
	return []Scope{
		ScopeProjectsRead,
		ScopeCommandsClaude, ScopeCommandsShell, ScopeCommandsGit,
		ScopeShellUnrestricted, ScopeClaudeUnrestricted,
		ScopeCommandsRead, ScopeCommandsCancel,
		ScopeStreamsRead,
		ScopeKeysRead, ScopeKeysWrite,
		ScopeAuditRead,
	}
}

// Valid reports whether s is a scope that this version knows.
func (s Scope) Valid() bool { return slices.Contains(AllScopes(), s) }
