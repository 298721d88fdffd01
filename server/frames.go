package server

import (
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

// The events that are made here, per reader, and not stored.
const (
	eventConnected = "connected"
	eventHeartbeat = "heartbeat"
	eventGap       = "gap"
)

// buffers are where pending events are put together. A reader holds one while
// it writes, and none while it waits.
type buffers struct{ pool sync.Pool }

const (
	bufferSize    = 64 << 10
	maxBufferSize = 256 << 10 // a larger one, made for a long line, is not kept
	// headroom is what every buffer of frames begins with: space for what a
	// sender puts before them.
	headroom = 16
)

// newFrames returns a small buffer of frames.
func newFrames() []byte { return make([]byte, headroom, 256) }

func (b *buffers) get() *[]byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, headroom, bufferSize)
	return &buf
}

func (b *buffers) put(buf *[]byte) {
	if cap(*buf) <= maxBufferSize {
		*buf = (*buf)[:headroom]
		b.pool.Put(buf)
	}
}

// batchSize is the data from which on an event takes no more lines: a reader
// whose connection breaks within an event has to get all of it again.
const batchSize = 4 << 10

// appendEvents appends stored events. With batches, lines that follow each other
// share an event, with the id of the last.
func appendEvents(dst []byte, streamID string, events []stream.Event, batches bool) ([]byte, error) {
	at := sse.Cursor{Stream: streamID}
	for len(events) > 0 {
		n, size := 1, len(events[0].Data)
		for batches && size < batchSize && n < len(events) && events[n-1].Kind == stream.Output && events[n].Kind == stream.Output {
			size += len(events[n].Data)
			n++
		}
		last := &events[n-1]
		at.Seq, at.Final = last.Seq, last.Kind.Terminal()
		if at.Final {
			at.Seq = 0
		}
		var err error
		dst, err = at.AppendEventOf(dst, string(last.Kind), func(yield func([]byte) bool) {
			for i := range n {
				if !yield(events[i].Data) {
					return
				}
			}
		})
		if err != nil {
			return dst, err
		}
		events = events[n:]
	}
	return dst, nil
}

// appendOwn appends an event that is made here, with the place that the reader
// comes back to.
func appendOwn(dst []byte, streamID, name string, seq uint64, data any) ([]byte, error) {
	return sse.Cursor{Stream: streamID, Seq: seq}.AppendEvent(dst, name, encode(data))
}

// appendNoID appends an event that is no place in the stream.
func appendNoID(dst []byte, name string, data any) ([]byte, error) {
	return sse.AppendEvent(dst, "", name, encode(data))
}

// appendRetry tells the reader to wait between least and most before it comes
// back, at random so that many readers do not come at once.
func appendRetry(dst []byte, least, most time.Duration) []byte {
	return sse.AppendRetry(dst, least+rand.N(most-least))
}

// encode returns JSON on one line; the types of these events cannot fail.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
