package claudeout

import "encoding/json"

// Bounds of what is kept of a line, however long it is.
const (
	maxKey   = 64       // of a key, longer ones are none of ours
	maxValue = 64 << 10 // of a value that is wanted; a line with a longer one is no result
	maxDepth = 200
)

// A state is what the scanner expects next.
type state uint8

const (
	expectObject state = iota // the line's
	expectValue
	expectValueOrEnd // of an array
	expectKey
	expectKeyOrEnd
	expectColon
	afterValue
	inString
	inEscape
	inHex
	inLiteral
	afterMinus
	afterZero
	inInteger
	afterPoint
	inFraction
	afterE
	afterESign
	inExponent
	closed // the object is whole
	refused
)

// A scanner reads a line of JSON byte by byte, checks its grammar (RFC 8259)
// and keeps the values of a few keys of its object. Its memory is bounded: of
// anything else it keeps nothing.
type scanner struct {
	state   state
	stack   []byte // { and [ that are open
	isKey   bool   // the string is a key of the object
	hex     int
	literal string // what must follow

	key      []byte // as it is written
	keep     string // the key whose value is being kept, or empty
	value    []byte
	overflow bool // a wanted value is too long
	elements int  // of the array permission_denials
	kept     map[string][]byte
}

// wanted are the keys of a result that are kept. The first is what an event is
// known by.
var wanted = map[string]bool{
	"type": true, "subtype": true, "is_error": true, "num_turns": true, "session_id": true,
	"total_cost_usd": true, "usage": true, "modelUsage": true, "api_error_status": true,
}

const denials = "permission_denials"

func (s *scanner) reset() {
	*s = scanner{stack: s.stack[:0], key: s.key[:0], value: s.value[:0], kept: s.kept}
	clear(s.kept)
}

// scan takes more of the line. It reports false once the line cannot be a
// result: the rest of it need not be read.
func (s *scanner) scan(data []byte) bool {
	for _, b := range data {
		if s.state == refused {
			return false
		}
		s.step(b)
	}
	return s.state != refused
}

func (s *scanner) step(b byte) {
	switch s.state {
	case inString, inEscape, inHex:
		s.take(b)
		s.inString(b)
		return
	case inLiteral:
		s.take(b)
		if b != s.literal[0] {
			s.state = refused
		} else if s.literal = s.literal[1:]; s.literal == "" {
			s.state = afterValue
		}
		return
	case afterMinus, afterZero, inInteger, afterPoint, inFraction, afterE, afterESign, inExponent:
		if s.inNumber(b) {
			s.take(b)
			return
		}
		if s.state == refused {
			return
		}
		s.state = afterValue // and b is what follows
	}
	if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
		return
	}
	switch s.state {
	case expectObject:
		if b != '{' {
			s.state = refused
			return
		}
		s.open(b)
	case expectKeyOrEnd, expectKey:
		switch {
		case b == '"':
			s.isKey, s.state = true, inString
			if len(s.stack) == 1 {
				s.key = s.key[:0]
			}
			s.take(b)
		case b == '}' && s.state == expectKeyOrEnd:
			s.close(b)
		default:
			s.state = refused
		}
	case expectColon:
		s.take(b)
		if b != ':' {
			s.state = refused
			return
		}
		s.state = expectValue
		if len(s.stack) == 1 {
			s.begin()
		}
	case expectValueOrEnd, expectValue:
		if b == ']' && s.state == expectValueOrEnd {
			s.close(b)
			return
		}
		s.beginValue(b)
	case afterValue:
		s.after(b)
	default: // closed: nothing may follow
		s.state = refused
	}
}

// beginValue takes the first byte of a value.
func (s *scanner) beginValue(b byte) {
	if len(s.stack) == 2 && s.stack[1] == '[' && string(s.key) == `"`+denials+`"` {
		s.elements++
	}
	if b == '{' || b == '[' {
		s.open(b)
		return
	}
	s.take(b)
	switch {
	case b == '"':
		s.isKey, s.state = false, inString
	case b == '-':
		s.state = afterMinus
	case b == '0':
		s.state = afterZero
	case '1' <= b && b <= '9':
		s.state = inInteger
	case b == 't':
		s.state, s.literal = inLiteral, "rue"
	case b == 'f':
		s.state, s.literal = inLiteral, "alse"
	case b == 'n':
		s.state, s.literal = inLiteral, "ull"
	default:
		s.state = refused
	}
}

// after takes what stands behind a value.
func (s *scanner) after(b byte) {
	top := s.stack[len(s.stack)-1]
	switch {
	case b == ',' && len(s.stack) == 1:
		s.end()
		if s.state != refused {
			s.state = expectKey
		}
	case b == ',':
		s.take(b)
		s.state = expectValue
		if top == '{' {
			s.state = expectKey
		}
	case b == '}' && top == '{', b == ']' && top == '[':
		s.close(b)
	default:
		s.state = refused
	}
}

func (s *scanner) open(b byte) {
	if len(s.stack) == maxDepth {
		s.state = refused
		return
	}
	if len(s.stack) > 0 {
		s.take(b)
	}
	s.stack = append(s.stack, b)
	s.state = expectKeyOrEnd
	if b == '[' {
		s.state = expectValueOrEnd
	}
}

func (s *scanner) close(b byte) {
	s.stack = s.stack[:len(s.stack)-1]
	if len(s.stack) > 0 {
		s.take(b)
		s.state = afterValue
		return
	}
	if s.end(); s.state != refused {
		s.state = closed
	}
}

func (s *scanner) inString(b byte) {
	switch s.state {
	case inEscape:
		switch b {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			s.state = inString
		case 'u':
			s.state, s.hex = inHex, 4
		default:
			s.state = refused
		}
	case inHex:
		switch {
		case '0' <= b && b <= '9', 'a' <= b|0x20 && b|0x20 <= 'f':
			if s.hex--; s.hex == 0 {
				s.state = inString
			}
		default:
			s.state = refused
		}
	default:
		switch {
		case b < ' ':
			s.state = refused
		case b == '\\':
			s.state = inEscape
		case b == '"' && s.isKey:
			s.state = expectColon
		case b == '"':
			s.state = afterValue
		}
	}
}

// inNumber reports whether b belongs to the number. If it does not, and the
// number is not whole, the line is refused.
func (s *scanner) inNumber(b byte) bool {
	digit := '0' <= b && b <= '9'
	next := refused
	switch s.state {
	case afterMinus:
		if digit {
			next = inInteger
		}
		if b == '0' {
			next = afterZero
		}
	case afterZero, inInteger:
		switch {
		case digit && s.state == inInteger:
			next = inInteger
		case b == '.':
			next = afterPoint
		case b|0x20 == 'e':
			next = afterE
		default:
			return false
		}
	case afterPoint, inFraction:
		switch {
		case digit:
			next = inFraction
		case s.state == inFraction && b|0x20 == 'e':
			next = afterE
		case s.state == inFraction:
			return false
		}
	case afterE, afterESign, inExponent:
		switch {
		case digit:
			next = inExponent
		case s.state == afterE && (b == '+' || b == '-'):
			next = afterESign
		case s.state == inExponent:
			return false
		}
	}
	s.state = next
	return next != refused
}

// take keeps a byte of a key or of a value that is wanted.
func (s *scanner) take(b byte) {
	if s.isKey && len(s.stack) == 1 && (s.state == inString || s.state == inEscape || s.state == inHex) {
		if len(s.key) <= maxKey {
			s.key = append(s.key, b)
		}
		return
	}
	if s.keep == "" {
		return
	}
	if len(s.value) == maxValue {
		s.overflow, s.keep = true, ""
		return
	}
	s.value = append(s.value, b)
}

// begin decides whether the value of the key is kept.
func (s *scanner) begin() {
	s.isKey, s.keep, s.value = false, "", s.value[:0]
	var key string
	if len(s.key) > maxKey || json.Unmarshal(s.key, &key) != nil {
		return
	}
	if key == denials {
		s.elements = 0
		s.key = append(s.key[:0], `"`+denials+`"`...)
	}
	if wanted[key] {
		s.keep = key
	}
}

// end is called behind each value of the line's object.
func (s *scanner) end() {
	if s.keep == "" {
		return
	}
	if s.keep == "type" && string(s.value) != `"result"` {
		var kind string
		if json.Unmarshal(s.value, &kind) != nil || kind != "result" {
			s.state = refused
			return
		}
	}
	if s.kept == nil {
		s.kept = make(map[string][]byte, len(wanted))
	}
	s.kept[s.keep] = append([]byte(nil), s.value...)
	s.keep = ""
}
