package server

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/orchard9/rdev/stream"
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

func (w *frameWriter) appendEvent(dst []byte, e *stream.Event) []byte {
	dst = append(dst, "id: "...)
	dst = append(dst, w.streamID...)
	dst = append(dst, ':')
	if e.Kind.Terminal() {
		dst = append(dst, finalID...)
	} else {
		dst = strconv.AppendUint(dst, e.Seq, 10)
	}
	return appendData(append(dst, '\n'), string(e.Kind), e.Data)
}

func (w *frameWriter) appendControl(dst []byte, name string, seq uint64, data []byte) []byte {
	dst = append(dst, "id: "...)
	dst = append(dst, w.streamID...)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, seq, 10)
	return appendData(append(dst, '\n'), name, data)
}

func appendData(dst []byte, name string, data []byte) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, name...)
	dst = append(dst, "\ndata: "...)
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}

// appendRetry tells the reader to wait between least and most before it comes
// back, at random so that many readers do not come at once.
func appendRetry(dst []byte, least, most time.Duration) []byte {
	wait := least + rand.N(most-least)
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, wait.Milliseconds(), 10)
	return append(dst, '\n')
}
