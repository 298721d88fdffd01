package rdev

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/stream"
)

// An outcome is how a command ended, as its terminal event tells it.
type outcome struct {
	State   State
	Code    Code
	Message string
	Result  *exec.Result // nil if the end of the process was not seen
	Claude  *ClaudeResult
}

// completeData is the Data of a stream.Complete event.
type completeData struct {
	ExitCode   int           `json:"exit_code"` // -1 if a signal ended the process
	DurationMS int64         `json:"duration_ms"`
	State      State         `json:"state"`
	Signal     string        `json:"signal,omitempty"`
	Truncated  bool          `json:"truncated,omitempty"`
	Code       Code          `json:"code,omitempty"`
	Message    string        `json:"message,omitempty"`
	Claude     *ClaudeResult `json:"claude,omitempty"`
}

// failedData is the Data of a stream.Failed event.
type failedData struct {
	Code    Code          `json:"code"`
	Message string        `json:"message"`
	State   State         `json:"state"`
	Claude  *ClaudeResult `json:"claude,omitempty"`
}

func (o outcome) event(seq uint64) stream.Event {
	r := o.Result
	if r == nil {
		return terminalEvent(seq, stream.Failed, failedData{Code: o.Code, Message: o.Message, State: o.State, Claude: o.Claude})
	}
	return terminalEvent(seq, stream.Complete, completeData{
		ExitCode: r.ExitCode, DurationMS: r.Duration.Milliseconds(), State: o.State, Signal: r.Signal, Truncated: r.Truncated,
		Code: o.Code, Message: o.Message, Claude: o.Claude,
	})
}

func terminalEvent(seq uint64, kind stream.Kind, data any) stream.Event {
	b, err := json.Marshal(data)
	if err != nil { // these types hold nothing that cannot be encoded
		panic(fmt.Sprintf("rdev: encode %s event: %v", kind, err))
	}
	return stream.Event{Seq: seq, Kind: kind, Data: b}
}

// A batch is output events that are made together: their Data are parts of one
// array, so that a line costs no allocation.
type batch struct {
	data   []byte
	lines  []place
	events []stream.Event // made when they are taken
}

// A place is that of an event in the data of a batch.
type place struct {
	seq uint64
	end int
}

// add appends lines as events. It does not keep their memory.
func (b *batch) add(lines []exec.Line) {
	b.lines = slices.Grow(b.lines, len(lines))
	for i := range lines {
		b.data = appendOutput(b.data, &lines[i])
		b.lines = append(b.lines, place{lines[i].Seq, len(b.data)})
	}
}

// size is how much memory the events take, in bytes.
func (b *batch) size() int { return len(b.data) + len(b.lines)*int(unsafe.Sizeof(stream.Event{})) }

// take returns the events, which are valid until the batch is emptied.
func (b *batch) take() []stream.Event {
	b.events = slices.Grow(b.events, len(b.lines))
	start := 0
	for _, l := range b.lines {
		b.events = append(b.events, stream.Event{Seq: l.seq, Kind: stream.Output, Data: b.data[start:l.end:l.end]})
		start = l.end
	}
	return b.events
}

func (b *batch) empty() { b.data, b.lines, b.events = b.data[:0], b.lines[:0], b.events[:0] }

// appendOutput appends the Data of an output event:
// {"line","stream","partial"?,"base64"?}. The last two are left out unless
// the line is partial, or is not valid UTF-8 and "line" thus not exact.
func appendOutput(dst []byte, l *exec.Line) []byte {
	dst = append(dst, `{"line":"`...)
	exact := true
	if word, short := shortWord(l.Data); short && word&highs == 0 && escapedIn(word) == 0 {
		dst = append(dst, l.Data...)
	} else if exact = utf8.Valid(l.Data); exact {
		dst = appendEscaped(dst, l.Data)
	} else {
		dst = appendReplaced(dst, l.Data)
	}
	if l.Stream == exec.Stderr {
		dst = append(dst, `","stream":"stderr"`...)
	} else {
		dst = append(dst, `","stream":"stdout"`...)
	}
	if l.Partial {
		dst = append(dst, `,"partial":true`...)
	}
	if !exact {
		dst = append(dst, `,"base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, l.Data)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// shortWord returns up to eight bytes as a word, with spaces behind them.
func shortWord(s []byte) (word uint64, short bool) {
	switch n := len(s); {
	case n > 8:
		return 0, false
	case n >= 4: // the two may overlap, and are equal there
		word = uint64(binary.LittleEndian.Uint32(s)) | uint64(binary.LittleEndian.Uint32(s[n-4:]))<<(8*(n-4))
	default:
		for i, c := range s {
			word |= uint64(c) << (8 * i)
		}
	}
	return word | ' '*ones<<(8*len(s)), true
}

const hexDigits = "0123456789abcdef"

// Every byte of a word.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// appendEscaped appends valid UTF-8 as the inside of a JSON string (RFC 8259,
// section 7). It goes by words of eight bytes, copying each before it is known
// how many of them need no escape.
func appendEscaped(dst, s []byte) []byte {
	for len(s) >= 8 {
		n := len(dst)
		if cap(dst)-n < 16 {
			dst = slices.Grow(dst, len(s)+16)
		}
		to := (*[16]byte)(dst[n : n+16])
		word := binary.LittleEndian.Uint64(s)
		binary.LittleEndian.PutUint64(to[:], word)
		special := escapedIn(word)
		if special == 0 {
			dst, s = dst[:n+8], s[8:]
			continue
		}
		plain := bits.TrailingZeros64(special) / 8
		if c := s[plain]; c == '"' || c == '\\' {
			to[plain], to[plain+1] = '\\', c
			dst = dst[:n+plain+2]
		} else {
			dst = appendEscape(dst[:n+plain], c)
		}
		s = s[plain+1:]
	}
	for _, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

// escapedIn marks the high bit of the first byte in word that needs an escape,
// and maybe of some behind it; of none if none does. Each of the three
// differences borrows from the next byte only where it has found one.
func escapedIn(word uint64) uint64 {
	quote, backslash := word^'"'*ones, word^'\\'*ones
	return ((word-0x20*ones)&^word | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\t':
		return append(dst, '\\', 't')
	case '\r':
		return append(dst, '\\', 'r')
	case '\n':
		return append(dst, '\\', 'n')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendReplaced is appendEscaped with U+FFFD for each byte that is no part of
// a character.
func appendReplaced(dst, s []byte) []byte {
	begin := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(appendEscaped(dst, s[begin:i]), "\uFFFD"...)
			begin = i + 1
		}
		i += n
	}
	return appendEscaped(dst, s[begin:])
}

// DecodeOutput returns the line that an output event carries, with its exact
// bytes. Its Time is not known.
func DecodeOutput(e stream.Event) (exec.Line, error) {
	var data struct {
		Line    string  `json:"line"`
		Stream  string  `json:"stream"`
		Partial bool    `json:"partial"`
		Base64  *[]byte `json:"base64"`
	}
	if e.Kind != stream.Output {
		return exec.Line{}, fmt.Errorf("rdev: event %d is %q and not output", e.Seq, e.Kind)
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return exec.Line{}, fmt.Errorf("rdev: decode output event %d: %w", e.Seq, err)
	}
	l := exec.Line{Seq: e.Seq, Stream: exec.Stdout, Partial: data.Partial, Data: []byte(data.Line)}
	if data.Stream == exec.Stderr.String() {
		l.Stream = exec.Stderr
	}
	if data.Base64 != nil {
		l.Data = *data.Base64
	}
	return l, nil
}

// decodeTerminal returns what a terminal event says of the command's end, all
// but the Result.
func decodeTerminal(e stream.Event) (outcome, error) {
	var data failedData
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return outcome{}, fmt.Errorf("rdev: decode terminal event %d: %w", e.Seq, err)
	}
	return outcome{State: data.State, Code: data.Code, Message: data.Message, Claude: data.Claude}, nil
}
