package sse

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
)

// MaxCursorBytes is the longest event id that ParseCursor takes.
const MaxCursorBytes = 256

// ErrCursor: an event id that no stream of rdev has given out.
var ErrCursor = errors.New("sse: not an event id of a stream")

// final stands where a number would, in the id of the terminal event.
const final = "final"

// A Cursor is a place in a stream, as event ids write it: "<stream_id>:<seq>",
// or "<stream_id>:final" behind the terminal event.
type Cursor struct {
	// Stream is the id of the stream, of printable ASCII characters. It may
	// hold colons.
	Stream string
	// Seq is the last event that the reader has; zero is none. It is zero if
	// Final is set.
	Seq uint64
	// Final says that the reader has the terminal event.
	Final bool
}

// ParseCursor reads an event id. It takes exactly what String writes, and
// nothing that only looks like it: no sign, no leading zero, no number above
// 2^63-1. Every error is ErrCursor, says which rule is broken, and does not
// repeat the id.
func ParseCursor(id string) (Cursor, error) {
	if len(id) > MaxCursorBytes {
		return Cursor{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrCursor, len(id), MaxCursorBytes)
	}
	colon := strings.LastIndexByte(id, ':') // the stream's own id may hold more
	if colon < 0 {
		return Cursor{}, fmt.Errorf("%w: no colon", ErrCursor)
	}
	c := Cursor{Stream: id[:colon], Final: id[colon+1:] == final}
	if !c.Final {
		var err error
		if c.Seq, err = parseSeq(id[colon+1:]); err != nil {
			return Cursor{}, err
		}
	}
	if err := c.check(); err != nil {
		return Cursor{}, err
	}
	return c, nil
}

func parseSeq(digits string) (uint64, error) {
	switch {
	case digits == "":
		return 0, fmt.Errorf("%w: no number behind the colon", ErrCursor)
	case len(digits) > 1 && digits[0] == '0':
		return 0, fmt.Errorf("%w: the number begins with a zero", ErrCursor)
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, fmt.Errorf("%w: neither a number nor %q behind the colon", ErrCursor, final)
		}
	}
	seq, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%w: the number is above %d", ErrCursor, math.MaxInt64)
	}
	return seq, nil
}

func (c Cursor) check() error {
	if c.Stream == "" {
		return fmt.Errorf("%w: no stream before the colon", ErrCursor)
	}
	for i := range len(c.Stream) {
		if b := c.Stream[i]; b <= ' ' || b > '~' {
			return fmt.Errorf("%w: byte %d of the stream is %q", ErrCursor, i, b)
		}
	}
	return nil
}

// String returns the event id. Of a Cursor that ParseCursor would refuse, it is
// not one.
func (c Cursor) String() string { return string(c.appendTo(nil)) }

func (c Cursor) appendTo(dst []byte) []byte {
	dst = append(append(dst, c.Stream...), ':')
	if c.Final {
		return append(dst, final...)
	}
	return strconv.AppendUint(dst, c.Seq, 10)
}

// AppendEvent is the function AppendEvent with c as the id, and allocates no
// string for it. A Cursor that ParseCursor would refuse is ErrCursor; dst is
// then returned as it was.
func (c Cursor) AppendEvent(dst []byte, event string, data []byte) ([]byte, error) {
	head, err := c.appendHead(dst, event)
	if err != nil {
		return dst, err
	}
	return appendBody(head, event, data), nil
}

// AppendEventOf is AppendEvent with data in parts, each of which begins a data
// line: a reader gets them joined by LF. Without a part there is no event, and
// the reader takes the id for its own nevertheless. parts is gone through a second
// time if one of them holds CR or LF.
func (c Cursor) AppendEventOf(dst []byte, event string, parts iter.Seq[[]byte]) ([]byte, error) {
	head, err := c.appendHead(dst, event)
	if err != nil {
		return dst, err
	}
	dst = appendName(head, event)
	begin, n := len(dst), 0
	for part := range parts {
		dst = appendData(dst, part)
		n++
	}
	// To look through all parts at once is faster than through each.
	if lines := dst[begin:]; bytes.Count(lines, lf) != n || bytes.IndexByte(lines, '\r') >= 0 {
		dst = dst[:begin]
		for part := range parts {
			dst = appendLines(dst, part)
		}
	}
	return append(dst, '\n'), nil
}

var lf = []byte{'\n'}

// appendHead checks c and event, and appends the id.
func (c Cursor) appendHead(dst []byte, event string) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Seq > math.MaxInt64 {
		return nil, fmt.Errorf("%w: the number is above %d", ErrCursor, math.MaxInt64)
	}
	if err := checkField("event", event); err != nil {
		return nil, err
	}
	begin := len(dst)
	dst = c.appendTo(append(dst, "id: "...))
	if n := len(dst) - begin - len("id: "); n > MaxCursorBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrCursor, n, MaxCursorBytes)
	}
	return append(dst, '\n'), nil
}
