package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/stream"
)

// A chunk is how events are stored: a version byte, then of each event its
// kind, the length of its data and the data. Seq is not in it: events are
// dense, and the row says where they begin.
//
// A published batch is one chunk, or several if it is larger than chunkBytes,
// so that a reader who wants a page of a stream is not given far more.
type chunk struct {
	first, last uint64
	events      []byte
}

const (
	chunkVersion = 1
	chunkBytes   = 64 << 10
)

// The kinds have a byte each. A kind that is not among them is written out
// after otherKind.
const (
	otherKind byte = iota
	outputKind
	completeKind
	failedKind
)

// errCorrupt: a chunk is not what was written.
var errCorrupt = errors.New("a chunk of events is corrupt")

// encode returns the chunks of a batch.
func encode(events []stream.Event) []chunk {
	var chunks []chunk
	for len(events) > 0 {
		n, size := fitting(events)
		c := chunk{first: events[0].Seq, last: events[n-1].Seq, events: make([]byte, 0, size)}
		c.events = append(c.events, chunkVersion)
		for _, e := range events[:n] {
			c.events = appendEvent(c.events, e)
		}
		chunks = append(chunks, c)
		events = events[n:]
	}
	return chunks
}

// fitting returns how many of the events make a chunk, at least one, and the
// most that it may take.
func fitting(events []stream.Event) (n, size int) {
	size = 1
	for n < len(events) && (n == 0 || size < chunkBytes) {
		size += 1 + 2*binary.MaxVarintLen32 + len(events[n].Data)
		if kindByte(events[n].Kind) == otherKind {
			size += len(events[n].Kind)
		}
		n++
	}
	return n, size
}

func appendEvent(dst []byte, e stream.Event) []byte {
	kind := kindByte(e.Kind)
	dst = append(dst, kind)
	if kind == otherKind {
		dst = binary.AppendUvarint(dst, uint64(len(e.Kind)))
		dst = append(dst, e.Kind...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Data)))
	return append(dst, e.Data...)
}

// decode appends the events of a chunk with a Seq above after. Their Data are
// parts of the chunk.
func decode(dst []stream.Event, c chunk, after uint64) ([]stream.Event, error) {
	rest := c.events
	if len(rest) == 0 || rest[0] != chunkVersion || c.first > c.last {
		return nil, fmt.Errorf("%w: events %d to %d", errCorrupt, c.first, c.last)
	}
	rest = rest[1:]
	for seq := c.first; seq <= c.last; seq++ {
		e := stream.Event{Seq: seq}
		var ok bool
		if e.Kind, rest, ok = cutKind(rest); ok {
			e.Data, rest, ok = cutBytes(rest)
		}
		if !ok {
			return nil, fmt.Errorf("%w: event %d of %d to %d", errCorrupt, seq, c.first, c.last)
		}
		if seq > after {
			dst = append(dst, e)
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: more than events %d to %d", errCorrupt, c.first, c.last)
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
