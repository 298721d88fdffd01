package sse

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ContentType is the media type of a stream of events. The format is always
// UTF-8; the parameter is for proxies and viewers that guess.
const ContentType = "text/event-stream; charset=utf-8"

// ErrField: an id or an event name holds what the format cannot carry: CR or
// LF, which would end its line; NUL, for which a reader ignores an id; or
// bytes that are not UTF-8, which would come back changed.
var ErrField = errors.New("sse: not an id or an event name")

// AppendEvent appends one whole event with its blank line to dst. An empty id
// writes no id field, so the reader's last id stays (an empty field would reset
// it); an empty event writes no event field, and the reader takes it for
// "message". With ErrField, dst is returned as it was.
//
// data should be UTF-8, since a browser replaces what is not. CR, LF and CRLF
// in it begin a new data line, which is all that the format can carry of them:
// the reader gets an LF for each. JSON on one line holds none.
func AppendEvent(dst []byte, id, event string, data []byte) ([]byte, error) {
	if err := checkField("id", id); err != nil {
		return dst, err
	}
	if err := checkField("event", event); err != nil {
		return dst, err
	}
	if id != "" {
		dst = append(dst, "id: "...)
		dst = append(dst, id...)
		dst = append(dst, '\n')
	}
	return appendBody(dst, event, data), nil
}

// AppendID appends an id without an event: the reader will name it when it
// reconnects, and dispatches nothing. An empty id is ErrField.
func AppendID(dst []byte, id string) ([]byte, error) {
	if id == "" {
		return dst, fmt.Errorf("%w: an empty id would reset the reader's", ErrField)
	}
	if err := checkField("id", id); err != nil {
		return dst, err
	}
	dst = append(dst, "id: "...)
	dst = append(dst, id...)
	return append(dst, "\n\n"...), nil
}

// AppendRetry appends how long a reader waits before it reconnects, in whole
// milliseconds; a negative delay is none.
func AppendRetry(dst []byte, delay time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, max(0, delay.Milliseconds()), 10)
	return append(dst, "\n\n"...)
}

// AppendComment appends a comment, which readers ignore. Text of several lines
// is several comments.
func AppendComment(dst []byte, text string) []byte {
	for more := true; more; {
		var line string
		line, text, more = cutLine(text)
		dst = append(dst, ": "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// appendBody appends everything of an event but its id. event was checked.
func appendBody(dst []byte, event string, data []byte) []byte {
	return append(appendLines(appendName(dst, event), data), '\n')
}

func appendName(dst []byte, event string) []byte {
	if event == "" {
		return dst
	}
	dst = append(dst, "event: "...)
	dst = append(dst, event...)
	return append(dst, '\n')
}

// appendLines appends data as one data line or more.
func appendLines(dst, data []byte) []byte {
	if bytes.IndexByte(data, '\n') >= 0 || bytes.IndexByte(data, '\r') >= 0 { // two fast searches for what is rare
		for end := bytes.IndexAny(data, "\r\n"); end >= 0; end = bytes.IndexAny(data, "\r\n") {
			dst = appendData(dst, data[:end])
			if data[end] == '\r' && end+1 < len(data) && data[end+1] == '\n' {
				end++
			}
			data = data[end+1:]
		}
	}
	return appendData(dst, data)
}

func appendData(dst, line []byte) []byte {
	// The space is stripped again by the reader, once; without it a line
	// that begins with a space would lose that one.
	dst = append(dst, "data: "...)
	dst = append(dst, line...)
	return append(dst, '\n')
}

// cutLine splits text at its first CR, LF or CRLF.
func cutLine(text string) (line, rest string, more bool) {
	end := strings.IndexAny(text, "\r\n")
	if end < 0 {
		return text, "", false
	}
	rest = text[end+1:]
	if text[end] == '\r' {
		rest = strings.TrimPrefix(rest, "\n")
	}
	return text[:end], rest, true
}

func checkField(name, value string) error {
	ascii := true
	for i := range len(value) {
		switch c := value[i]; {
		case c == '\r' || c == '\n' || c == 0:
			return fmt.Errorf("%w: byte %d of the %s is %q", ErrField, i, name, c)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if !ascii && !utf8.ValidString(value) {
		return fmt.Errorf("%w: the %s is not UTF-8", ErrField, name)
	}
	return nil
}
