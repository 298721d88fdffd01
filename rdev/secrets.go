package rdev

import (
	"slices"
	"strings"
	"sync"

	"github.com/orchard9/rdev/internal/mask"
)

// secrets are the values that are masked in everything that is stored and sent.
type secrets struct {
	mu     sync.Mutex
	values []string
	set    *mask.Set
}

// masks returns what is looked for now.
func (s *Service) masks() *mask.Set {
	var values []string
	if s.cfg.Secrets != nil {
		for _, secret := range s.cfg.Secrets() {
			values = append(values, secret.Reveal())
		}
	}
	s.secrets.mu.Lock()
	defer s.secrets.mu.Unlock()
	if s.secrets.set == nil || !slices.Equal(values, s.secrets.values) {
		s.secrets.values, s.secrets.set = values, mask.New(values...)
	}
	return s.secrets.set
}

// masksOf returns what is looked for in all that a command prints: the values of
// its environment whose names say that they are secret, too.
func (s *Service) masksOf(env map[string]string) *mask.Set {
	var values []string
	for name, value := range env {
		if secretName(name) {
			values = append(values, value)
		}
	}
	if set := s.masks(); len(values) == 0 {
		return set
	} else {
		slices.Sort(values)
		return set.With(values...)
	}
}

// secretWords are in names of variables and options whose values are secret.
var secretWords = []string{
	"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "API_KEY", "PRIVATE_KEY", "ACCESS_KEY", "CREDENTIAL",
}

func secretName(name string) bool {
	name = strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) })
}

func maskAll(set *mask.Set, texts []string) []string {
	masked := make([]string, len(texts))
	for i, text := range texts {
		masked[i] = set.String(text)
	}
	return masked
}

// Bounds of the arguments in an audit row.
const (
	maxAuditArgs = 64
	maxAuditArg  = 512 // bytes
)

// redact returns an argv as the audit log has it: masked, without what follows
// an option or a variable whose name says that it is secret, without passwords
// in URLs, and cut.
func redact(set *mask.Set, argv []string) []string {
	redacted := make([]string, 0, min(len(argv), maxAuditArgs+1))
	hide := false
	for i, arg := range argv {
		if i == maxAuditArgs {
			return append(redacted, "…")
		}
		name, value, assigned := strings.Cut(arg, "=")
		option := strings.HasPrefix(arg, "-")
		switch {
		case hide && !option:
			arg = mask.Replacement
		case assigned && value != "" && secretName(name) && !strings.ContainsAny(name, " \t\n"):
			arg = name + "=" + mask.Replacement
		default:
			arg = hidePassword(set.String(arg))
		}
		hide = option && !assigned && secretName(name)
		if len(arg) > maxAuditArg {
			arg = strings.ToValidUTF8(arg[:maxAuditArg], "") + "…"
		}
		redacted = append(redacted, arg)
	}
	return redacted
}

// hidePassword takes the user information out of URLs: scheme://user:password@.
func hidePassword(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "://")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("://")
		authority := after
		if end := strings.IndexAny(after, "/?# \t\n\"'"); end >= 0 {
			authority = after[:end]
		}
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			b.WriteString(mask.Replacement)
			after = after[at:]
		}
		text = after
	}
}
