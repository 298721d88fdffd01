// Package chunk packs consecutive events of a stream into values of a database,
// so that a store writes and reads a row per batch and not a row per line.
package chunk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/orchard9/rdev/internal/pack"
	"github.com/orchard9/rdev/stream"
)

// A Chunk is how events are stored: a byte that says how, then of each event its
// kind, the length of its data and the data. The numbers are not in it: events
// are dense, and the row says where they begin and end. The format is stored:
// what was written once must be read for ever.
type Chunk struct {
	First, Last uint64
	Events      []byte
}

// How what follows the first byte is stored.
const (
	plain  = 1
	packed = 2 // as package pack does
)

// Bytes is about how large a Chunk gets before it is packed: no event is added to
// one of that size, so that a reader who wants a page is not given far more.
const Bytes = 64 << 10

// most is the largest that a Chunk can be: one event more than Bytes, with a kind
// of any sensible length.
const most = Bytes + stream.MaxData + 1<<20

// The kinds have a byte each. A kind that is not among them is written out
// after otherKind.
const (
	otherKind byte = iota
	outputKind
	completeKind
	failedKind
)

// ErrCorrupt: a chunk is not what was written.
var ErrCorrupt = errors.New("a chunk of events is corrupt")

// workspaces are borrowed by Encode.
var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// maxWorkspace is the largest of each buffer that is given back.
const maxWorkspace = 4 * Bytes

type workspace struct{ plain, smaller []byte }

// Encode returns the chunks of a batch of consecutive events. They share no
// memory with it.
func Encode(events []stream.Event) []Chunk {
	var chunks []Chunk
	w := workspaces.Get().(*workspace)
	for len(events) > 0 {
		n, raw := 0, append(w.plain[:0], plain)
		for n < len(events) && (n == 0 || len(raw) < Bytes) {
			raw = appendEvent(raw, &events[n])
			n++
		}
		w.plain = raw
		stored, ok := raw, false
		if w.smaller, ok = pack.Append(append(w.smaller[:0], packed), raw[1:]); ok {
			stored = w.smaller
		}
		chunks = append(chunks, Chunk{First: events[0].Seq, Last: events[n-1].Seq, Events: bytes.Clone(stored)})
		events = events[n:]
	}
	if max(cap(w.plain), cap(w.smaller)) <= maxWorkspace {
		workspaces.Put(w)
	}
	return chunks
}

// unpacked returns the events of a chunk as they were put together.
func unpacked(stored []byte) ([]byte, error) {
	switch {
	case len(stored) > 0 && stored[0] == plain:
		return stored[1:], nil
	case len(stored) > 0 && stored[0] == packed:
		return pack.Unpack(nil, stored[1:], most)
	}
	return nil, errors.New("it is of no known form")
}

func appendEvent(dst []byte, e *stream.Event) []byte {
	kind := kindByte(e.Kind)
	dst = append(dst, kind)
	if kind == otherKind {
		dst = binary.AppendUvarint(dst, uint64(len(e.Kind)))
		dst = append(dst, e.Kind...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Data)))
	return append(dst, e.Data...)
}

// Decode appends the events of a chunk with a Seq above after to dst. Their
// Data may be parts of the chunk, which must not change any more.
func Decode(dst []stream.Event, c Chunk, after uint64) ([]stream.Event, error) {
	rest, err := unpacked(c.Events)
	if err == nil && c.First > c.Last {
		err = errors.New("they are none")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: events %d to %d: %w", ErrCorrupt, c.First, c.Last, err)
	}
	if n := c.Last - max(after, c.First-1); c.Last > after && n <= uint64(len(rest)) { // an event takes two bytes at least
		dst = slices.Grow(dst, int(n))
	}
	for seq := c.First; seq <= c.Last; seq++ {
		e := stream.Event{Seq: seq}
		var ok bool
		if e.Kind, rest, ok = cutKind(rest); ok {
			e.Data, rest, ok = cutBytes(rest)
		}
		if !ok {
			return nil, fmt.Errorf("%w: event %d of %d to %d", ErrCorrupt, seq, c.First, c.Last)
		}
		if seq > after {
			dst = append(dst, e)
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: more than events %d to %d", ErrCorrupt, c.First, c.Last)
	}
	return dst, nil
}

func kindByte(kind stream.Kind) byte {
	switch kind {
	case stream.Output:
		return outputKind
	case stream.Complete:
		return completeKind
	case stream.Failed:
		return failedKind
	}
	return otherKind
}

func cutKind(b []byte) (kind stream.Kind, rest []byte, ok bool) {
	if len(b) == 0 {
		return "", nil, false
	}
	switch b[0] {
	case outputKind:
		return stream.Output, b[1:], true
	case completeKind:
		return stream.Complete, b[1:], true
	case failedKind:
		return stream.Failed, b[1:], true
	case otherKind:
		name, rest, ok := cutBytes(b[1:])
		return stream.Kind(name), rest, ok
	}
	return "", nil, false
}

func cutBytes(b []byte) (cut, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(length)
	return b[n:end:end], b[end:], true
}
