package rdev

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
)

// A Request asks for a command.
type Request struct {
	// Project is where it shall run. Required.
	Project string
	// Request is what shall run: exactly one of Claude, Shell and Git, and
	// what is added to the project's environment.
	policy.Request
	// Dir is the working folder, relative to the project's. Defaults to the
	// project's.
	Dir string
	// Timeout ends the command. Defaults to Config.DefaultTimeout; at most
	// Config.MaxTimeout.
	Timeout time.Duration
	// MaxWait lets the command wait in the project's queue for that long if
	// there is no place for it; at most Config.MaxWait. A command that has
	// waited in vain ends as failed with TOO_MANY_COMMANDS. Defaults to not
	// waiting: Run is ErrTooManyCommands then.
	MaxWait time.Duration
	// IdempotencyKey makes a repeated request with the same key return the
	// first one's command, for IdempotencyTTL: 1 to 255 printable ASCII
	// characters. Defaults to none.
	IdempotencyKey string
	// RequestID is the id under which the caller's request is logged, for the
	// record of the command. Defaults to none.
	RequestID string
}

// digest identifies the request under its idempotency key.
func (r Request) digest() string {
	h := sha256.New()
	// Encoding values of these types cannot fail.
	b, _ := json.Marshal([]any{r.Project, r.Request, r.Dir, r.Timeout, r.MaxWait})
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// scopeOf is what a caller needs for a command of type t.
func scopeOf(t policy.Type) auth.Scope {
	switch t {
	case policy.TypeClaude:
		return auth.ScopeCommandsClaude
	case policy.TypeGit:
		return auth.ScopeCommandsGit
	}
	return auth.ScopeCommandsShell
}
