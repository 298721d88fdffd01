package mask

import "bytes"

const (
	blockBegin   = "-----BEGIN "
	blockEnd     = "-----END "
	dashes       = "-----"
	maxBlockKind = 40
	// maxBlock is how many lines of a block are masked whose end does not come.
	maxBlock = 200
	// maxBlockText is how much is looked through for an end in another string,
	// and maxBlockGap how far behind the quote the key begins then.
	maxBlockText = 16 << 10
	maxBlockGap  = 1 << 10
	// minKeyRun is how many bytes in a row are taken for a part of a key.
	minKeyRun = 32
)

// A block is a private key in PEM, of which the beginning was seen and the end
// was not. All that follows belongs to it, until its end or a closing quote. What
// is behind a quote is of another kind: the rest of a line of JSON in which
// somebody mentions how keys begin, which has to stay JSON; or, in source text
// and in logs, more strings with more of the key, on this line and on those
// after it. So there, runs of bytes are masked that look like a key, and nothing
// else.
type blockState uint8

const (
	blockSame   blockState = iota // as it was
	blockOff                      // there is none
	blockOpen                     // all that follows is in it
	blockQuoted                   // the string that it began in is closed
)

// findBlock finds the beginning of a block, and what belongs to it.
func findBlock(text []byte, i int, more bool) match {
	rest := text[i+len(blockBegin):]
	kind, _, whole := bytes.Cut(rest[:min(len(rest), maxBlockKind)], []byte(dashes))
	if !whole {
		return match{undecided: more && len(rest) < maxBlockKind}
	}
	if !bytes.Contains(kind, []byte("PRIVATE KEY")) || bytes.IndexByte(kind, '"') >= 0 {
		return match{}
	}
	after := i + len(blockBegin) + len(kind) + len(dashes)
	to, next := inBlock(text[after:], false)
	return match{end: after + to, block: next}
}

// inBlock returns how much of the text, which is in a block, belongs to it, and
// what the rest of the text is in. escaped says that a backslash stands before
// the text.
func inBlock(text []byte, escaped bool) (to int, next blockState) {
	quote := nextQuote(text, escaped)
	if quote < 0 {
		if _, end := endOfBlock(text); end > 0 {
			return end, blockOff
		}
		return len(text), blockOpen
	}
	if _, end := endOfBlock(text[:quote]); end > 0 {
		return end, blockOff
	}
	// The end may be in another string. If there is nothing like a key before
	// it, both are only mentioned.
	behind := text[quote:min(len(text), quote+maxBlockText)]
	if part := nextKeyRun(behind[:min(len(behind), maxBlockGap)], 0, false); part.state == runFound {
		if at, end := endOfBlock(behind); part.from < at {
			return quote + end, blockOff
		}
	}
	return quote, blockQuoted
}

// endOfBlock returns where the line begins and ends that ends a block, with end
// zero if it is not there.
func endOfBlock(text []byte) (at, end int) {
	at = bytes.Index(text, []byte(blockEnd))
	if at < 0 {
		return 0, 0
	}
	end = at + len(blockEnd)
	rest := text[end:]
	if quote := nextQuote(rest, false); quote >= 0 {
		rest = rest[:quote]
	}
	if n := bytes.Index(rest, []byte(dashes)); n >= 0 {
		return at, end + n + len(dashes)
	}
	return at, end + len(rest)
}

// nextQuote returns where the next quote is that no backslash stands before, -1
// if there is none.
func nextQuote(text []byte, escaped bool) int {
	for from := 0; ; {
		n := bytes.IndexByte(text[from:], '"')
		if n < 0 {
			return -1
		}
		if at := from + n; !endsEscaped(text[:at], escaped) {
			return at
		}
		from += n + 1
	}
}

// endsEscaped reports whether what follows the text has a backslash before it
// that is not escaped itself; escaped says that of the text.
func endsEscaped(text []byte, escaped bool) bool {
	n := len(text) - len(bytes.TrimRight(text, `\`))
	return (n%2 == 1) != (n == len(text) && escaped)
}

// inBlockLine reports whether a line that follows may stand in a block.
func inBlockLine(line []byte) bool {
	if isBlockLine(line) {
		return true
	}
	for i := 0; i < len(line); i++ { // with something before it
		n := run(line[i:], &base64, 0)
		if n >= minKeyRun {
			return true
		}
		i += n
	}
	return false
}

// isBlockLine reports whether a line is one that blocks have, and nothing else.
func isBlockLine(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || bytes.HasPrefix(line, []byte("Proc-Type:")) || bytes.HasPrefix(line, []byte("DEK-Info:")) ||
		run(line, &base64, 0) == len(line)
}

// A keyRun is a part of a text that looks like a part of a key.
type keyRun struct {
	span
	state runState
}

type runState uint8

const (
	runNone runState = iota
	runFound
	runOpen // it may be one when more of the text is known
)

// keyRuns finds one after the other, up to the end of the block.
type keyRuns struct {
	known bool
	stop  int // where the block ends, the end of the text if it does not
	last  keyRun
}

// next returns the next one from i on, which is never less than before.
func (k *keyRuns) next(text []byte, i int, more bool) keyRun {
	if !k.known || k.stop < i {
		k.stop = len(text)
		if at, end := endOfBlock(text[i:]); end > 0 {
			k.stop = i + at
		}
	} else if k.last.state == runNone || k.last.from >= i {
		return k.last
	}
	k.known, k.last = true, nextKeyRun(text[:k.stop], i, more && k.stop == len(text))
	return k.last
}

// nextKeyRun finds the next run from i on that looks like a part of a key:
// minKeyRun bytes of base64 in both cases, which tells it from most paths and
// hashes. It may begin with the escape of such a byte. What another backslash
// stands before is no part of it: without that the backslash would stand before
// something else.
func nextKeyRun(text []byte, i int, more bool) keyRun {
	for i < len(text) {
		if text[i] == '\\' && escapedByte(text[i:]) == 0 {
			n := 2
			if i+1 < len(text) && text[i+1] == 'u' {
				n = maxEscape
			}
			if i+n > len(text) && more {
				return keyRun{span{i, len(text)}, runOpen}
			}
			i += n
			continue
		}
		n, mixed, cut := measureRun(text[i:])
		switch {
		case n >= minKeyRun && mixed:
			return keyRun{span{i, i + n}, runFound}
		case cut && more && n > 0 && n < 4*minKeyRun:
			return keyRun{span{i, len(text)}, runOpen}
		}
		i += max(n, 1)
	}
	return keyRun{}
}

// measureRun measures the run that the text begins with; mixed says that it has
// letters of both cases, and cut that it may go on behind the text.
func measureRun(text []byte) (n int, mixed, cut bool) {
	upper, lower := false, false
	for n < len(text) {
		switch c := text[n]; {
		case base64[c]:
			upper, lower = upper || 'A' <= c && c <= 'Z', lower || 'a' <= c && c <= 'z'
			n++
		case c == '\\' && escapedByte(text[n:]) > 0:
			n += escapedByte(text[n:])
		default:
			return n, upper && lower, c == '\\' && len(text)-n < maxEscape
		}
	}
	return n, upper && lower, true
}

// beforeEscape returns i, or where the escape begins that i is within: what is
// looked at again begins there.
func beforeEscape(text []byte, i int) int {
	for at := max(0, i-maxEscape+1); at < i; at++ {
		if text[at] != '\\' || endsEscaped(text[:at], false) {
			continue
		}
		if at+1 == i || text[at+1] == 'u' {
			return at
		}
	}
	return i
}

// maxEscape is the length of the longest escape of JSON.
const maxEscape = len(`\u0000`)

// escapedByte returns the length of the escape that the text begins with if that
// is of a byte of base64 other than letters and digits, else zero. Some write
// those so in JSON.
func escapedByte(text []byte) int {
	if len(text) >= 2 && text[1] == '/' {
		return 2
	}
	if len(text) >= maxEscape {
		switch string(text[1:maxEscape]) {
		case "u002b", "u002B", "u002f", "u002F", "u003d", "u003D":
			return maxEscape
		}
	}
	return 0
}
