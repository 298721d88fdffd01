package rdev

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
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

// appendOutputEvents appends lines as events, and returns what those take in
// memory. All their Data share one array, so that a batch costs two allocations
// and not two a line; the memory of the lines is not kept.
func appendOutputEvents(events []stream.Event, lines []exec.Line) ([]stream.Event, int) {
	size := 0
	for i := range lines {
		size += len(lines[i].Data) + 48
	}
	buf := make([]byte, 0, size+size/16)
	ends := make([]int, len(lines)) // buf may move while it grows
	for i := range lines {
		buf = appendOutput(buf, &lines[i])
		ends[i] = len(buf)
	}
	events = slices.Grow(events, len(lines))
	start := 0
	for i := range lines {
		events = append(events, stream.Event{Seq: lines[i].Seq, Kind: stream.Output, Data: buf[start:ends[i]:ends[i]]})
		start = ends[i]
	}
	return events, len(buf) + len(lines)*int(unsafe.Sizeof(stream.Event{}))
}

// appendOutput appends the Data of an output event:
// {"line","stream","partial"?,"base64"?}. The last two are left out unless
// the line is partial, or is not valid UTF-8 and "line" thus not exact.
func appendOutput(dst []byte, l *exec.Line) []byte {
	dst = append(dst, `{"line":"`...)
	exact := utf8.Valid(l.Data)
	if exact {
		dst = appendEscaped(dst, l.Data)
	} else {
		dst = appendReplaced(dst, l.Data)
	}
	dst = append(dst, `","stream":"`...)
	dst = append(dst, l.Stream.String()...)
	dst = append(dst, '"')
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

const hexDigits = "0123456789abcdef"

// appendEscaped appends valid UTF-8 as the inside of a JSON string (RFC 8259,
// section 7). Runs of bytes that need no escape are copied whole.
func appendEscaped(dst, s []byte) []byte {
	start := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, s[start:]...)
}

// appendReplaced is appendEscaped with U+FFFD for each byte that is no part of
// a character.
func appendReplaced(dst, s []byte) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = appendEscaped(dst, s[:n])
		}
		s = s[n:]
	}
	return dst
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
