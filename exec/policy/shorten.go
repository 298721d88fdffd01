package policy

import (
	"strings"

	"github.com/orchard9/rdev/exec"
)

// afterOffence is how much of a command line is parsed behind the first thing
// in it that is never accepted.
const afterOffence = 1 << 10

// shorten cuts a command line that will be refused, so that refusing it costs
// little: a parser recurses into every parenthesis, and tens of thousands of
// them take hundreds of megabytes of stack.
//
// It knows just enough of quoting to find the first byte that no policy without
// a shell accepts. Up to there a command line has nothing but words, quotes and
// backslashes, and so this view of it is the shell's. It is the parser that
// refuses; should the cut text be accepted, the whole is refused all the same.
func shorten(command string) (string, error) {
	words, blank := 0, true
	last := len(strings.TrimRight(command, " \t\n")) // newlines behind it end nothing
	var quote byte
	for i := 0; i < len(command); i++ {
		b := command[i]
		cut := false
		switch {
		case quote == '\'':
			if b == quote {
				quote = 0
			}
			continue
		case b == '\\':
			i++
			if !blank || strings.HasPrefix(command[i:], "\n") {
				continue
			}
		case quote == '"':
			if b == quote {
				quote = 0
			}
			cut = b == '`' || b == '$' && i+1 < len(command) && strings.IndexByte("({[", command[i+1]) >= 0
			if !cut {
				continue
			}
		case b == '\'' || b == '"':
			quote = b
		case b == ' ' || b == '\t' || b == '\n' && i >= last:
			blank = true
			continue
		case b == '$' && i+1 < len(command):
			cut = strings.IndexByte("({['\"", command[i+1]) >= 0
		case b == '#':
			cut = blank
		default:
			cut = strings.IndexByte("`()<>;&|[", b) >= 0 || b == '\n' && i < last
		}
		if cut {
			end := min(i+afterOffence, len(command))
			for end < len(command) && command[end]&0xC0 == 0x80 { // not within a character
				end++
			}
			return command[:end], nil
		}
		if blank {
			blank = false
			if words++; words > exec.MaxArgs {
				return "", fieldErrorf("command", "has more than %d words", exec.MaxArgs)
			}
		}
	}
	return command, nil
}
