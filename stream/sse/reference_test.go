package sse_test

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orchard9/rdev/stream/sse"
)

// An outcome is everything that a stream makes a reader do.
type outcome struct {
	Events []dispatched
	LastID string
	Retry  time.Duration
	Set    bool // whether a retry was named
}

type dispatched struct{ ID, Name, Data string }

// decode runs the Decoder to the end of r.
func decode(r io.Reader, options *sse.DecoderOptions) (outcome, error) {
	d := sse.NewDecoder(r, options)
	var o outcome
	for {
		event, err := d.Next()
		if err != nil {
			o.LastID = d.LastEventID()
			o.Retry, o.Set = d.Retry()
			return o, err
		}
		o.Events = append(o.Events, dispatched{event.ID, event.Name, string(event.Data)})
	}
}

// reference is the standard's algorithm, word for word, over a whole stream: as
// slow and as plain as can be.
func reference(stream string) outcome {
	var o outcome
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.ReplaceAll(stream, "\r\n", "\n")
	stream = strings.ReplaceAll(stream, "\r", "\n")
	all := strings.Split(stream, "\n")
	var data, event, id string
	for _, line := range all[:len(all)-1] { // what has no end is no line
		if line == "" {
			o.LastID = id
			if data != "" {
				name := event
				if name == "" {
					name = "message"
				}
				o.Events = append(o.Events, dispatched{o.LastID, name, strings.TrimSuffix(data, "\n")})
			}
			data, event = "", ""
			continue
		}
		if strings.HasPrefix(line, ":") {
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "data":
			data += value + "\n"
		case "id":
			if !strings.Contains(value, "\x00") {
				id = value
			}
		case "retry":
			if value != "" && strings.Trim(value, "0123456789") == "" {
				o.Set = true
				ms, err := strconv.ParseInt(value, 10, 64)
				if most := int64(1<<63-1) / int64(time.Millisecond) / 10; err != nil || ms > most {
					ms = most
				}
				o.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return o
}

// A cutter gives a stream in pieces whose sizes follow cuts, over and over.
type cutter struct {
	stream string
	cuts   []byte
	n      int
}

func (c *cutter) Read(p []byte) (int, error) {
	if c.stream == "" {
		return 0, io.EOF
	}
	size := len(p)
	if len(c.cuts) > 0 {
		size = min(size, int(c.cuts[c.n%len(c.cuts)]))
		c.n++
		if c.n > len(c.cuts) {
			size = max(size, 1) // nothing but empty reads is an error of its own
		}
	}
	n := copy(p[:size], c.stream)
	c.stream = c.stream[n:]
	return n, nil
}

// split cuts s for an encoder: the lines that the format can carry of it.
func split(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// carried reports whether an id or a name can be carried.
func carried(s string) bool { return !strings.ContainsAny(s, "\r\n\x00") && utf8.ValidString(s) }
