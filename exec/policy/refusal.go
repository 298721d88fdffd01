package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrRefused is what every Refusal wraps.
var ErrRefused = errors.New("command refused by policy")

// maxToken bounds what a Refusal repeats of the request.
const maxToken = 64

// A Refusal says which part of a request the policy does not allow, and why.
type Refusal struct {
	// Code is for programs, "shell.operator" or "git.option". Codes are added,
	// never changed.
	Code string
	// Field is the field of the request as in JSON: "command", "args[2]".
	Field string
	// Token is the offending piece of the field, at most 64 bytes of it.
	Token string
	// Column is the 1-based byte column of Token in the field's text, or 0 if
	// there is none.
	Column int
	// Reason is for people, a sentence without the full stop.
	Reason string
	// Hint says for people what would allow the request, if that is known.
	// Plan never sets it: a Policy does not know what else its caller has.
	Hint string
}

// Error names the field, the column, the token and the reason.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString("policy: ")
	if r.Field != "" {
		fmt.Fprintf(&b, "%s: ", r.Field)
	}
	if r.Column > 0 {
		fmt.Fprintf(&b, "column %d: ", r.Column)
	}
	if r.Token != "" {
		fmt.Fprintf(&b, "%q: ", r.Token)
	}
	b.WriteString(r.Reason)
	if r.Hint != "" {
		b.WriteString("; " + r.Hint)
	}
	return b.String()
}

// Unwrap returns ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }

// clip shortens a token to maxToken bytes without cutting a character.
func clip(token string) string {
	if len(token) <= maxToken {
		return token
	}
	end := maxToken
	for end > 0 && !utf8.RuneStart(token[end]) {
		end--
	}
	return token[:end]
}
