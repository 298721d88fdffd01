package rdev

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
)

// A Request asks for a command.
type Request struct {
	// Project is where it shall run. Required.
	Project string
	// Request is what shall run: exactly one of Claude, Shell and Git.
	policy.Request
	// Dir is the working folder, relative to the project's. Defaults to the
	// project's.
	Dir string
	// Env is added to the project's environment.
	Env map[string]string
	// Timeout ends the command. Defaults to Config.DefaultTimeout; at most
	// Config.MaxTimeout.
	Timeout time.Duration
	// IdempotencyKey makes a repeated request with the same key return the
	// first one's command, for IdempotencyTTL: 1 to 255 printable ASCII
	// characters. Defaults to none.
	IdempotencyKey string
}

// digest identifies the request under its idempotency key.
func (r Request) digest() string {
	h := sha256.New()
	env := make([][2]string, 0, len(r.Env))
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		env = append(env, [2]string{name, r.Env[name]})
	}
	// Encoding values of these types cannot fail.
	b, _ := json.Marshal([]any{r.Project, r.Request, r.Dir, env, r.Timeout})
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// scope is what a caller needs for the request.
func (r Request) scope() auth.Scope {
	switch {
	case r.Claude != nil:
		return auth.ScopeCommandsClaude
	case r.Git != nil:
		return auth.ScopeCommandsGit
	}
	return auth.ScopeCommandsShell
}
