package auth

import (
	"fmt"
	"io"
)

// redacted is what every formatting of a Secret says.
const redacted = "[redacted]"

// A Secret is a text that must not be printed: fmt with any verb, JSON, text
// encodings and loggers all show "[redacted]". Reveal is the one way to the
// text, so a search for it finds every use.
//
// Secrets cannot be compared with ==: that would take a time that depends on
// the content, and the compiler refuses it.
type Secret struct {
	_ [0]func()
	// value is a pointer because fmt does not ask the methods of an unexported
	// field: of a Secret inside a struct it prints an address then.
	value *string
}

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{value: &text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.value == nil }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
