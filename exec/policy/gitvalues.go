package policy

import (
	"slices"
	"strings"
)

// checkValue checks a value of the kind that the table names, and returns what
// is wrong with it.
func checkValue(kind, value string) (problem string) {
	ok := false
	switch kind {
	case "text", "message": // anything: it is data wherever it stands
		ok = true
	case "word":
		ok = value != "" && onlyBytes(value, wordBytes)
	case "number":
		ok = value != "" && len(value) <= 9 && onlyBytes(value, "0123456789")
	case "pattern": // the first operand of grep
		ok = value != "" && value[0] != '-'
	case "rev":
		ok = isRevision(value)
	case "refs": // a name, a start, or a pattern for names
		ok = isRevision(strings.NewReplacer("*", "x", "?", "x").Replace(value))
	case "branch":
		ok = isBranch(value)
	case "path":
		return checkPath(value)
	case "remote":
		ok = isRemoteName(value)
	case "source":
		ok = isRemoteName(value) || isURL(value)
	case "url":
		ok = isURL(value)
	case "refspec":
		ok = isRefspec(value)
	case "key":
		ok = strings.Contains(value, ".") && isLetter(value[0]) && onlyBytes(value, wordBytes)
	case "stash":
		ok = onlyBytes(value, "0123456789") && value != "" || isRevision(value)
	default: // a choice: a|b|c
		ok = slices.Contains(strings.Split(kind, "|"), value)
	}
	if ok {
		return ""
	}
	return "this is no " + valueName(kind)
}

func valueName(kind string) string {
	switch kind {
	case "rev", "refs":
		return "revision"
	case "branch":
		return "name of a branch or tag"
	case "source", "url":
		return "remote: want " + map[string]string{"source": "the name of one, or ", "url": ""}[kind] + "a URL with https or ssh"
	case "remote":
		return "name of a remote"
	case "key":
		return "name of a setting"
	}
	return kind
}

const wordBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/,+-"

// checkPath accepts what lies within the working tree by its spelling. Symbolic
// links are the target's affair.
func checkPath(path string) (problem string) {
	switch {
	case path == "":
		return "this path is empty"
	case strings.HasPrefix(path, "/"):
		return "this path is not relative"
	case slices.Contains(strings.Split(path, "/"), ".."):
		return "this path may lead out of the working tree"
	}
	return ""
}

// isRevision accepts what names commits and objects: names, hashes, HEAD~2,
// main@{upstream}, HEAD:path, ^excluded, and ranges with .. and ... of them.
func isRevision(s string) bool {
	if body, ok := strings.CutPrefix(s, "^"); ok {
		return isOneRevision(body)
	}
	at := rangeAt(s)
	if at < 0 {
		return isOneRevision(s)
	}
	from, to := s[:at], strings.TrimPrefix(s[at+2:], ".")
	return (from != "" || to != "") && (from == "" || isOneRevision(from)) && (to == "" || isOneRevision(to))
}

// rangeAt returns the index of the .. in a range, or -1. What follows a colon is
// a path, and what stands in braces is no range.
func rangeAt(s string) int {
	depth := 0
	for i := range len(s) {
		switch {
		case s[i] == '{':
			depth++
		case s[i] == '}':
			depth--
		case depth == 0 && s[i] == ':':
			return -1
		case depth == 0 && strings.HasPrefix(s[i:], ".."):
			return i
		}
	}
	return -1
}

func isOneRevision(s string) bool {
	name, path, hasPath := strings.Cut(s, ":")
	if hasPath && (slices.Contains(strings.Split(path, "/"), "..") || !isPlain(path)) {
		return false
	}
	if name == "" || strings.IndexByte("-/.", name[0]) >= 0 || strings.HasSuffix(name, "/") {
		return false
	}
	braces := false
	for i := range len(name) {
		b := name[i]
		switch {
		case b < ' ' || b == 0x7f:
			return false
		case braces:
			braces = b != '}'
		case b == '{':
			if i == 0 || name[i-1] != '@' && name[i-1] != '^' {
				return false
			}
			braces = true
		case strings.IndexByte(" \\?*[}", b) >= 0, strings.HasPrefix(name[i:], ".."), strings.HasPrefix(name[i:], "//"):
			return false
		}
	}
	return !braces
}

// isBranch follows the rules of git check-ref-format for new names.
func isBranch(s string) bool {
	if s == "" || s == "@" || s[0] == '-' || strings.HasSuffix(s, ".") || !isPlain(s) ||
		strings.ContainsAny(s, " ~^:?*[\\") || strings.Contains(s, "..") || strings.Contains(s, "@{") {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

func isRemoteName(s string) bool {
	return isBranch(s) && onlyBytes(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-")
}

// isURL accepts https and ssh URLs and the short form user@host:path. Neither
// the host nor the path may begin with a dash: ssh would take the one for an
// option, and the other side the other.
func isURL(s string) bool {
	if strings.Contains(s, "::") || !isPlain(s) || strings.ContainsAny(s, " \\'\"`$;|&<>()") {
		return false
	}
	for _, scheme := range []string{"https://", "ssh://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			authority, path, _ := strings.Cut(rest, "/")
			return isHost(authority) && !strings.HasPrefix(path, "-")
		}
	}
	authority, path, ok := strings.Cut(s, ":")
	user, host, hasUser := strings.Cut(authority, "@")
	return ok && hasUser && user != "" && user[0] != '-' && isHost(host) &&
		!strings.Contains(authority, "/") && path != "" && path[0] != '-' && !strings.HasPrefix(path, "/-")
}

// isHost accepts [user[:password]@]host[:port].
func isHost(authority string) bool {
	if authority == "" || authority[0] == '-' {
		return false
	}
	host := authority[strings.LastIndexByte(authority, '@')+1:]
	return host != "" && host[0] != '-' && host[0] != ':' && host[0] != '.'
}

// isRefspec accepts [+]src[:dst] and :dst, where * may stand for a part.
func isRefspec(s string) bool {
	from, to, pair := strings.Cut(strings.TrimPrefix(s, "+"), ":")
	side := func(s string) bool {
		return strings.Count(s, "*") <= 1 && isOneRevision(strings.Replace(s, "*", "x", 1))
	}
	if !pair {
		return side(from)
	}
	return (from == "" || side(from)) && side(to)
}

// isPlain reports whether s holds no control characters.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
