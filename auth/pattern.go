package auth

import "strings"

// A Pattern selects projects by name: "*" all of them, "team-a-*" those whose
// name begins with "team-a-", and anything else the one project of that name.
type Pattern string

// AllProjects is the pattern that matches every project.
const AllProjects Pattern = "*"

// maxPatternName is the longest project name (RFC 1123).
const maxPatternName = 63

// Valid reports whether p is "*", a project name, or the beginning of one with
// a "*" behind it.
func (p Pattern) Valid() bool {
	prefix, open := p.prefix()
	switch {
	case prefix == "":
		return open
	case len(prefix) > maxPatternName, prefix[0] == '-':
		return false
	case !open && prefix[len(prefix)-1] == '-':
		return false
	}
	for i := range len(prefix) {
		switch c := prefix[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return true
}

// Match reports whether the pattern selects the project. A pattern that is not
// valid selects none.
func (p Pattern) Match(project string) bool {
	if project == "" || !p.Valid() {
		return false
	}
	prefix, open := p.prefix()
	if open {
		return strings.HasPrefix(project, prefix)
	}
	return project == prefix
}

// Covers reports whether p selects every project that other selects.
func (p Pattern) Covers(other Pattern) bool {
	if !p.Valid() || !other.Valid() {
		return false
	}
	prefix, open := p.prefix()
	otherPrefix, otherOpen := other.prefix()
	if open {
		return strings.HasPrefix(otherPrefix, prefix)
	}
	return !otherOpen && prefix == otherPrefix
}

// prefix returns p without a trailing "*", and whether it had one.
func (p Pattern) prefix() (prefix string, open bool) {
	return strings.CutSuffix(string(p), "*")
}
