package mask

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A Set is what to look for. It does not change; all methods are safe for
// concurrent use. The zero value and nil look for nothing.
type Set struct {
	pairs  [1 << 16]uint8       // by the two bytes that a secret can begin with: bits of the third
	seen   [1 << 16]uint8       // 1 for the first two, or the second and the third, the earlier as the lower byte
	firsts [256]bool            // the first of them
	values map[[2]byte][]string // longest first
	shapes map[[2]byte][]*shape
	all    []string // the values
}

// New returns a Set of the shapes and the values. A value of several lines is
// looked for line by line, since that is how output comes. What is shorter than
// MinValue is left out.
func New(values ...string) *Set {
	s := &Set{values: map[[2]byte][]string{}, shapes: map[[2]byte][]*shape{}}
	for i := range shapes {
		shape := &shapes[i]
		pair := s.begin(shape.prefix)
		s.shapes[pair] = append(s.shapes[pair], shape)
	}
	for _, value := range values {
		for line := range strings.SplitSeq(value, "\n") {
			s.add(strings.TrimSpace(line))
		}
	}
	for _, values := range s.values {
		slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	}
	return s
}

// With returns a Set that has more values.
func (s *Set) With(values ...string) *Set { return New(append(slices.Clone(s.all), values...)...) }

func (s *Set) add(value string) {
	if len(value) < MinValue {
		return
	}
	value = value[:min(len(value), MaxValue)]
	pair := s.begin(value)
	if !slices.Contains(s.values[pair], value) {
		s.values[pair] = append(s.values[pair], value)
		s.all = append(s.all, value)
	}
}

func (s *Set) begin(text string) [2]byte {
	s.pairs[uint16(text[0])<<8|uint16(text[1])] |= 1 << (text[2] & 7)
	s.seen[uint16(text[0])|uint16(text[1])<<8] = 1
	s.seen[uint16(text[1])|uint16(text[2])<<8] = 1
	s.firsts[text[0]] = true
	return [2]byte{text[0], text[1]}
}

// String returns the text without its secrets.
func (s *Set) String(text string) string { return string(s.Bytes([]byte(text))) }

// Bytes returns the text without its secrets: text itself if there is none.
func (s *Set) Bytes(text []byte) []byte {
	if s == nil {
		return text
	}
	found := s.scan(text, false, false)
	if len(found.spans) == 0 {
		return text
	}
	var masked []byte
	end := 0
	for _, span := range found.spans {
		masked = append(masked, text[end:span.from]...)
		masked = append(masked, Replacement...)
		end = span.to
	}
	return append(masked, text[end:]...)
}

type span struct{ from, to int }

// found is what a scan has found.
type found struct {
	spans []span
	// open is where something begins that may be a secret when more of the
	// text is known; the end if there is nothing like that.
	open int
	// A secret reaches the end of the text, and goes on as long as there are
	// bytes of rest.
	rest *[256]bool
	// block is what the end of the text is in, if that changes; key says that
	// there was a part of a key behind a quote.
	block blockState
	key   bool
}

// scan looks through the text. With more, it goes on after its end; quoted says
// that it is behind the quote of a block.
func (s *Set) scan(text []byte, more, quoted bool) (f found) {
	n := len(text)
	f.open = n
	defer func() {
		if quoted && more {
			f.open = beforeEscape(text, f.open)
		}
	}()
	place := -2 // where a secret may begin, the next if it is not before i; -1 for none
	var parts keyRuns
	for i := 0; i+1 < n || quoted && i < n; {
		if place != -1 && place < i {
			place = s.next(text, i)
		}
		if quoted {
			part := parts.next(text, i, more)
			switch {
			case part.state != runNone && (place < 0 || part.from <= place):
				if part.state == runOpen {
					f.open = part.from
					return f
				}
				f.spans = append(f.spans, part.span)
				f.key = true
				if i = part.to; i == n && more {
					f.rest = &base64
				}
				continue
			case parts.stop < n && (place < 0 || place > parts.stop):
				f.block, quoted = blockOff, false
			}
		}
		if place < 0 {
			break
		}
		i = place
		m := s.at(text, i, more)
		if m.undecided {
			f.open = i
			return f
		}
		if m.end == 0 {
			i++
			continue
		}
		f.spans = append(f.spans, span{i, m.end})
		if i = m.end; i == n && more {
			f.rest = m.rest
		}
		if m.block != blockSame {
			f.block, quoted = m.block, m.block == blockQuoted
		}
	}
	if more && n > 0 && s.firsts[text[n-1]] && (len(f.spans) == 0 || f.spans[len(f.spans)-1].to < n) {
		f.open = n - 1
	}
	return f
}

// next returns the next place from i on where a secret may begin, or where the
// text has only two bytes left with which one may, -1 if there is none. It looks
// at every second pair of bytes: what begins before or at it shows there.
func (s *Set) next(text []byte, i int) int {
	n := len(text)
	for ; i+2 < n; i += 2 {
		for i+8 < n { // four pairs at a time, for as long as none was seen
			w := binary.LittleEndian.Uint64(text[i+1:])
			if s.seen[uint16(w)]|s.seen[uint16(w>>16)]|s.seen[uint16(w>>32)]|s.seen[uint16(w>>48)] != 0 {
				break
			}
			i += 8
		}
		if i+2 >= n {
			break
		}
		if s.seen[uint16(text[i+1])|uint16(text[i+2])<<8] != 0 {
			if s.begins(text, i) {
				return i
			}
			if s.begins(text, i+1) {
				return i + 1
			}
		}
	}
	if i+2 == n && s.begins(text, i) {
		return i
	}
	return -1
}

// begins reports whether a secret may begin at i, by its first three bytes as
// far as they are there.
func (s *Set) begins(text []byte, i int) bool {
	bits := s.pairs[uint16(text[i])<<8|uint16(text[i+1])]
	return bits != 0 && (i+2 == len(text) || bits>>(text[i+2]&7)&1 != 0)
}

// match is what is at a place of a text.
type match struct {
	end       int // zero if it is no secret
	undecided bool
	rest      *[256]bool
	block     blockState
}

// at tells what begins at i: the longest of what it can be.
func (s *Set) at(text []byte, i int, more bool) (best match) {
	pair := [2]byte{text[i], text[i+1]}
	rest := text[i:]
	for _, value := range s.values[pair] {
		switch n := min(len(value), len(rest)); {
		case string(rest[:n]) != value[:n]:
		case n == len(value):
			if i+n > best.end {
				best = match{end: i + n}
			}
		case more:
			return match{undecided: true}
		}
	}
	for _, shape := range s.shapes[pair] {
		m := shape.match(text, i, more)
		if m.undecided {
			return m
		}
		if m.end > best.end {
			best = m
		}
	}
	return best
}
