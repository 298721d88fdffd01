package client

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// The two outputs of a command.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// An Event is a line of output, or a Gap. Data and Raw are valid during the
// call that hands the Event over, and no longer.
type Event struct {
	// Seq numbers the lines of a command from 1, without holes, over both
	// outputs together. It is what Follow takes as after.
	Seq uint64
	// Stream is Stdout or Stderr.
	Stream string
	// Data is the line without its newline: the exact bytes of the command.
	Data []byte
	// Partial says that no newline follows: the line goes on in the next Event
	// of its Stream, or ends there.
	Partial bool
	// Gap is set instead of all else where lines are gone.
	Gap *Gap

	raw []byte
}

// Raw returns Data with its newline, if it has one: the Raw of all Events of a
// Stream, one after the other, are the bytes that the command wrote to it.
func (e Event) Raw() []byte { return e.raw }

// A Gap tells which lines cannot be had.
type Gap struct {
	From   uint64 `json:"from"` // the first Seq that is missing
	To     uint64 `json:"to"`   // the last one
	Reason string `json:"reason"`
}

// The reasons for a Gap.
const (
	GapRetention = "retention"     // they are older than what the server keeps
	GapTruncated = "log_truncated" // the server lost the end of its log
)

// An End is how a command ended.
type End struct {
	State State `json:"state"`

	// ExitCode is the exit code, -1 if a signal ended the process, and nil if
	// there is none: then Code and Message say why.
	ExitCode   *int   `json:"exit_code"`
	Signal     string `json:"signal"`
	DurationMS int64  `json:"duration_ms"`
	Truncated  bool   `json:"truncated"` // not all output was kept

	// Code and Message say why there is no exit code, or with one that claude
	// reported an error (ClaudeError).
	Code    Code   `json:"code"`
	Message string `json:"message"`

	// Claude is what claude reported of its run, nil if it did not.
	Claude *ClaudeResult `json:"claude"`
}

// endOf returns what the record of an ended command says.
func endOf(cmd Command) End {
	end := End{State: cmd.State, Claude: cmd.Claude}
	if r := cmd.Result; r != nil {
		end.ExitCode, end.Signal, end.DurationMS, end.Truncated = &r.ExitCode, r.Signal, r.DurationMS, r.Truncated
	}
	if cmd.Error != nil {
		end.Code, end.Message = cmd.Error.Code, cmd.Error.Message
	}
	return end
}

// A batch collects events between two reads from the connection. Their bytes
// share one array, which is used again for the next batch.
type batch struct {
	events []Event
	bytes  []byte
}

// maxBatch is about how many bytes one call of the sink gets.
const maxBatch = 256 << 10

func (b *batch) full() bool { return len(b.bytes) >= maxBatch }

func (b *batch) reset() {
	clear(b.events) // the Gaps
	b.events, b.bytes = b.events[:0], b.bytes[:0]
	if cap(b.bytes) > 4*maxBatch {
		b.bytes = nil // a single long line made it that large
	}
}

func (b *batch) addGap(seq uint64, gap Gap) {
	b.events = append(b.events, Event{Seq: seq, Gap: &gap})
}

// addOutput decodes the data of an output event.
func (b *batch) addOutput(seq uint64, data []byte) error {
	start := len(b.bytes)
	e := Event{Seq: seq}
	var ok bool
	if b.bytes, e.Stream, e.Partial, ok = appendPlain(b.bytes, data); !ok {
		var decoded struct {
			Line    string  `json:"line"`
			Stream  string  `json:"stream"`
			Partial bool    `json:"partial"`
			Base64  *[]byte `json:"base64"`
		}
		if err := json.Unmarshal(data, &decoded); err != nil {
			return fmt.Errorf("client: decode output event %d: %w", seq, err)
		}
		e.Stream, e.Partial = decoded.Stream, decoded.Partial
		b.bytes = b.bytes[:start]
		if decoded.Base64 != nil {
			b.bytes = append(b.bytes, *decoded.Base64...)
		} else {
			b.bytes = append(b.bytes, decoded.Line...)
		}
	}
	end := len(b.bytes)
	e.Data = b.bytes[start:end:end]
	e.raw = e.Data
	if !e.Partial {
		b.bytes = append(b.bytes, '\n')
		e.raw = b.bytes[start : end+1 : end+1]
		e.Data = e.raw[: end-start : end-start]
	}
	b.events = append(b.events, e)
	return nil
}

var (
	plainHead   = []byte(`{"line":"`)
	plainStdout = []byte(`,"stream":"stdout"}`)
	plainStderr = []byte(`,"stream":"stderr"}`)
)

// appendPlain decodes the form that nearly all lines have, in a fraction of the
// time that encoding/json takes. For any other it returns false, and dst with
// something behind its end.
func appendPlain(dst, data []byte) (line []byte, stream string, partial, ok bool) {
	rest, found := bytes.CutPrefix(data, plainHead)
	if !found {
		return dst, "", false, false
	}
	for {
		i := bytes.IndexAny(rest, `"\`)
		if i < 0 {
			return dst, "", false, false
		}
		dst = append(dst, rest[:i]...)
		if rest[i] == '"' {
			rest = rest[i+1:]
			break
		}
		if i+1 == len(rest) {
			return dst, "", false, false
		}
		switch c := rest[i+1]; c {
		case '"', '\\':
			dst = append(dst, c)
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		default:
			return dst, "", false, false
		}
		rest = rest[i+2:]
	}
	switch {
	case bytes.Equal(rest, plainStdout):
		return dst, Stdout, false, true
	case bytes.Equal(rest, plainStderr):
		return dst, Stderr, false, true
	}
	return dst, "", false, false
}
