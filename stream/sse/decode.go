package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// DefaultMaxEventBytes is the largest event that a Decoder takes unless told
// otherwise.
const DefaultMaxEventBytes = 16 << 20

// ErrEventTooLarge: an event is larger than the Decoder takes.
var ErrEventTooLarge = errors.New("sse: event too large")

// An Event is what a reader dispatches.
type Event struct {
	// ID is the last event id that the stream has named up to here, which is
	// an earlier event's if this one has none.
	ID string
	// Name is the type of the event, "message" if it names none.
	Name string
	// Data is the data lines joined by LF, byte for byte. It is valid until
	// the next call of Next.
	Data []byte
}

// DecoderOptions configure a Decoder. Nil is all defaults.
type DecoderOptions struct {
	// MaxEventBytes bounds the data of an event together with the line that is
	// being read, and so the memory of the Decoder. Defaults to
	// DefaultMaxEventBytes.
	MaxEventBytes int
}

// A Decoder reads events from a stream as the WHATWG standard says in
// "Interpreting an event stream". It returns an event as soon as its blank line
// is there and reads no further than the reader gives it. It is for one
// goroutine at a time.
type Decoder struct {
	input lines
	max   int
	err   error // what every later Next returns

	data       []byte // the data buffer of the standard: lines, each with its LF
	event      []byte // the event type buffer
	id         string // the last event ID buffer, not yet named by a whole event
	begun      bool   // there were fields since the last blank line
	dispatched bool   // data was given to the caller

	name string // of the event before, as a string

	lastID   string
	retry    time.Duration
	hasRetry bool
}

// NewDecoder returns a Decoder that reads from r, which it does not close.
func NewDecoder(r io.Reader, options *DecoderOptions) *Decoder {
	d := &Decoder{input: lines{reader: r}, max: DefaultMaxEventBytes}
	if options != nil && options.MaxEventBytes > 0 {
		d.max = options.MaxEventBytes
	}
	return d
}

// LastEventID returns the id that a reader names when it reconnects: that of
// the last whole event, or of the last id without an event.
func (d *Decoder) LastEventID() string { return d.lastID }

// Retry returns how long the stream wants a reader to wait before it
// reconnects, and whether it said so.
func (d *Decoder) Retry() (time.Duration, bool) { return d.retry, d.hasRetry }

// Next returns the next event. At the end of the stream it returns io.EOF, or
// io.ErrUnexpectedEOF if the stream ends within an event, which is then not
// dispatched and its id not recorded; else the error of the reader, after all
// events that were whole; or ErrEventTooLarge. After an error it returns the
// same again.
func (d *Decoder) Next() (Event, error) {
	if d.dispatched {
		d.dispatched = false
		d.data = d.data[:0]
		if cap(d.data) > keepSize {
			d.data = nil
		}
	}
	for d.err == nil {
		line, ok := d.input.next()
		size := len(d.data) + len(line)
		if !ok {
			size = len(d.data) + d.input.pending()
		}
		switch {
		case size > d.max:
			d.err = fmt.Errorf("%w: it has %d bytes or more, at most %d are taken", ErrEventTooLarge, size, d.max)
		case !ok:
			if err := d.input.fill(); err != nil {
				d.err = d.ended(err)
			}
		case len(line) > 0:
			d.field(line)
		default:
			if event, ok := d.dispatch(); ok {
				return event, nil
			}
		}
	}
	return Event{}, d.err
}

func (d *Decoder) ended(err error) error {
	if err == io.EOF && (d.begun || d.input.pending() > 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var dataField = []byte("data: ")

// field processes a line that is not empty.
func (d *Decoder) field(line []byte) {
	if data, ok := bytes.CutPrefix(line, dataField); ok { // most lines
		d.begun = true
		d.data = append(append(d.data, data...), '\n')
		return
	}
	name, value := line, []byte(nil)
	if colon := bytes.IndexByte(line, ':'); colon == 0 {
		return // a comment
	} else if colon > 0 {
		name, value = line[:colon], line[colon+1:]
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
	}
	d.begun = true
	switch string(name) {
	case "data":
		d.data = append(append(d.data, value...), '\n')
	case "event":
		d.event = append(d.event[:0], value...)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.id = string(value)
		}
	case "retry":
		if delay, ok := parseRetry(value); ok {
			d.retry, d.hasRetry = delay, true
		}
	}
}

// dispatch ends an event at its blank line. Without data there is none, but its
// id counts.
func (d *Decoder) dispatch() (Event, bool) {
	d.begun = false
	d.lastID = d.id
	name := d.event
	d.event = d.event[:0]
	if len(d.data) == 0 {
		return Event{}, false
	}
	switch {
	case len(name) == 0:
		d.name = "message"
	case d.name != string(name): // most follow one of the same name
		d.name = string(name)
	}
	d.dispatched = true
	return Event{ID: d.lastID, Name: d.name, Data: d.data[:len(d.data)-1]}, true
}

// parseRetry takes ASCII digits and nothing else, as milliseconds.
func parseRetry(value []byte) (time.Duration, bool) {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), most/10) // a longer time is for ever, too
	}
	return time.Duration(n) * time.Millisecond, len(value) > 0
}
