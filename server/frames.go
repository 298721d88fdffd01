package server

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
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

// A frameWriter writes events to one reader: all that are pending in one
// Write, then one Flush, with a deadline on both.
type frameWriter struct {
	x        *exchange
	control  *http.ResponseController
	timeout  time.Duration
	streamID string
}

// buffers are where pending events are put together. A reader holds one while
// it writes, and none while it waits.
type buffers struct{ pool sync.Pool }

const (
	bufferSize    = 64 << 10
	maxBufferSize = 256 << 10 // a larger one, made for a long line, is not kept
)

func (b *buffers) get() *[]byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, 0, bufferSize)
	return &buf
}

func (b *buffers) put(buf *[]byte) {
	if cap(*buf) <= maxBufferSize {
		*buf = (*buf)[:0]
		b.pool.Put(buf)
	}
}

// check reports whether the ResponseWriter can do what a stream needs. One that
// some middleware has wrapped without an Unwrap method cannot.
func (w *frameWriter) check() error {
	if err := w.control.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("server: the ResponseWriter has no deadlines: %w", err)
	}
	var inner any = w.x.ResponseWriter
	for {
		switch v := inner.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return nil
		case interface{ Unwrap() http.ResponseWriter }:
			inner = v.Unwrap()
		default:
			return fmt.Errorf("server: the ResponseWriter cannot flush: %w", http.ErrNotSupported)
		}
	}
}

// write sends frames. The deadline is taken back: left alone, it would end an
// idle stream on HTTP/2.
func (w *frameWriter) write(frames []byte) error {
	if err := w.control.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err
	}
	if _, err := w.x.Write(frames); err != nil {
		return err
	}
	if err := w.control.Flush(); err != nil {
		return err
	}
	return w.control.SetWriteDeadline(time.Time{})
}

// end bounds what net/http writes by itself when the handler has returned.
func (w *frameWriter) end() { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }

// appendEvents appends stored events.
func (w *frameWriter) appendEvents(dst []byte, events []stream.Event) ([]byte, error) {
	at := sse.Cursor{Stream: w.streamID}
	for i := range events {
		e := &events[i]
		at.Seq, at.Final = e.Seq, e.Kind.Terminal()
		if at.Final {
			at.Seq = 0
		}
		var err error
		if dst, err = at.AppendEvent(dst, string(e.Kind), e.Data); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// appendOwn appends an event that is made here, with the place that the reader
// comes back to.
func (w *frameWriter) appendOwn(dst []byte, name string, seq uint64, data any) ([]byte, error) {
	return sse.Cursor{Stream: w.streamID, Seq: seq}.AppendEvent(dst, name, encode(data))
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
