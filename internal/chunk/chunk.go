// Package chunk packs consecutive events of a stream into one value of a
// database, so that a store writes and reads a row per batch and not a row per
// line.
//
// A chunk is, per event, a byte for the kind, the length of Data as an unsigned
// varint, and Data. The numbers are not in it: the first one is the row's, the
// others follow from it. The format is stored: it changes only by a new kind.
package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/stream"
)

// kinds are the stored values of kinds.
var kinds = [...]stream.Kind{1: stream.Output, 2: stream.Complete, 3: stream.Failed}

var errCut = errors.New("chunk: the value is cut off or not a chunk")

// Append appends events, whose numbers follow each other, to dst. An event of a
// kind that cannot be stored is an error.
func Append(dst []byte, events []stream.Event) ([]byte, error) {
	for _, e := range events {
		kind := byte(0)
		for i, k := range kinds {
			if k == e.Kind {
				kind = byte(i)
			}
		}
		if kind == 0 {
			return nil, fmt.Errorf("%w: kind %q cannot be stored", stream.ErrInvalid, e.Kind)
		}
		dst = append(dst, kind)
		dst = binary.AppendUvarint(dst, uint64(len(e.Data)))
		dst = append(dst, e.Data...)
	}
	return dst, nil
}

// Size is the length of what Append adds for events, or a little more.
func Size(events []stream.Event) int {
	size := 0
	for _, e := range events {
		size += 1 + binary.MaxVarintLen32 + len(e.Data)
	}
	return size
}

// Decode returns the events of a chunk that begins with the number first. They
// share b's memory, which must not change any more.
func Decode(b []byte, first uint64) ([]stream.Event, error) {
	var events []stream.Event
	for seq := first; len(b) > 0; seq++ {
		kind := int(b[0])
		n, width := binary.Uvarint(b[1:])
		if kind == 0 || kind >= len(kinds) || width <= 0 || n > uint64(len(b)-1-width) {
			return nil, errCut
		}
		end := 1 + width + int(n)
		events = append(events, stream.Event{Seq: seq, Kind: kinds[kind], Data: b[1+width : end : end]})
		b = b[end:]
	}
	return events, nil
}
