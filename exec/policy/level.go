package policy

// Level says how much a request may do.
type Level string

// The levels, narrowest first. The empty Level is Restricted.
const (
	Strict     Level = "strict"
	Restricted Level = "restricted"
	Permissive Level = "permissive"
)

// Valid reports whether l is a level; the empty one is.
func (l Level) Valid() bool { return l == "" || l.rank() > 0 }

// Min returns the narrower of the two. A level that is not known is narrower
// than any that is, and allows nothing.
func (l Level) Min(other Level) Level {
	if other.rank() < l.rank() {
		return other
	}
	return l
}

func (l Level) rank() int {
	switch l {
	case Strict:
		return 1
	case Restricted, "":
		return 2
	case Permissive:
		return 3
	}
	return 0
}
