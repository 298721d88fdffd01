package server

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A sender brings frames to one reader. frames begin with headroom bytes that
// are the sender's.
type sender interface {
	// send writes them at once. The reader has a limited time to take each
	// piece of them, so that one that is slow is not cut.
	send(frames []byte) error
	// end is called when nothing follows.
	end()
	// hurry leaves the reader hardly any time from now on, also for what is
	// being sent. It is the one method that another goroutine may call.
	hurry()
}

const (
	// hurryTimeout is what a reader gets that is told why it may not read on.
	hurryTimeout = 300 * time.Millisecond
	// pieceSize is what a reader must take within the time that it has. Nearly
	// everything is smaller, and written in one go.
	pieceSize = 64 << 10
)

// writePieces has write write b in pieces, and limit set a deadline before each,
// until that says that the reader is hurried: then no more time is added.
func writePieces(b []byte, limit func() (hurried bool, err error), write func([]byte) error) error {
	hurried := false
	for {
		if !hurried {
			var err error
			if hurried, err = limit(); err != nil {
				return err
			}
		}
		n := min(len(b), pieceSize)
		if err := write(b[:n]); err != nil {
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
}

// A responseSender writes through a ResponseWriter, of HTTP/2 and behind any
// middleware too.
type responseSender struct {
	x       *exchange
	control *http.ResponseController
	timeout time.Duration

	mu      sync.Mutex
	hurried bool
	ended   bool // the ResponseWriter may be gone any moment
}

// newResponseSender checks that the ResponseWriter can do what a stream needs.
// One that some middleware has wrapped without an Unwrap method cannot.
func newResponseSender(x *exchange, timeout time.Duration) (*responseSender, error) {
	w := &responseSender{x: x, control: http.NewResponseController(x.ResponseWriter), timeout: timeout}
	if err := w.control.SetWriteDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("server: the ResponseWriter has no deadlines: %w", err)
	}
	var inner any = x.ResponseWriter
	for {
		switch v := inner.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return w, nil
		case interface{ Unwrap() http.ResponseWriter }:
			inner = v.Unwrap()
		default:
			return nil, fmt.Errorf("server: the ResponseWriter cannot flush: %w", http.ErrNotSupported)
		}
	}
}

// send implements sender. The deadline is taken back: left alone, it would end
// an idle stream on HTTP/2.
func (w *responseSender) send(frames []byte) error {
	err := writePieces(frames[headroom:], func() (bool, error) { return w.limit(w.timeout) }, func(piece []byte) error {
		_, err := w.x.Write(piece)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.control.Flush(); err != nil {
		return err
	}
	_, err = w.limit(0)
	return err
}

// limit sets the deadline, or takes it back with zero.
func (w *responseSender) limit(timeout time.Duration) (hurried bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.hurried:
		timeout = hurryTimeout
	case timeout == 0:
		return false, w.control.SetWriteDeadline(time.Time{})
	}
	return w.hurried, w.control.SetWriteDeadline(time.Now().Add(timeout))
}

// hurry implements sender.
func (w *responseSender) hurry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended && !w.hurried {
		w.hurried = true
		_ = w.control.SetWriteDeadline(time.Now().Add(hurryTimeout)) // it could be set before
	}
}

// end implements sender: it bounds what net/http writes by itself when the
// handler has returned.
func (w *responseSender) end() {
	_, _ = w.limit(w.timeout)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}

// A connSender writes a chunked response of HTTP/1.1 to a connection that was
// taken over: one chunk for all frames, in one system call unless they are more
// than a piece.
type connSender struct {
	conn    net.Conn
	timeout time.Duration
	written int64
	failed  bool
	hurried atomic.Bool
	phase   atomic.Int32

	mu    sync.Mutex
	given bool // the connection is another response's
}

// Where a response on a connection that was taken over is.
const (
	streaming  = iota // it goes on, and so may the connection afterwards
	lastOfConn        // it is the last one: the caller wants that, or spoke meanwhile
	ended             // what the caller says now is its next request
)

// send implements sender.
func (w *connSender) send(frames []byte) error { return w.write(chunkOf(frames)) }

// chunkOf makes a chunk of frames, in their place.
func chunkOf(frames []byte) []byte {
	var digits [headroom]byte
	size := strconv.AppendInt(digits[:0], int64(len(frames)-headroom), 16)
	size = append(size, "\r\n"...)
	begin := headroom - len(size)
	copy(frames[begin:], size)
	return append(frames, "\r\n"...)[begin:]
}

func (w *connSender) write(b []byte) error {
	err := writePieces(b, w.limit, func(piece []byte) error {
		n, err := w.conn.Write(piece)
		w.written += int64(n)
		return err
	})
	w.failed = err != nil
	return err
}

func (w *connSender) limit() (hurried bool, err error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return false, err
	}
	if !w.hurried.Load() { // looked at after, so that hurry's deadline is never lost
		return false, nil
	}
	return true, w.conn.SetWriteDeadline(time.Now().Add(hurryTimeout))
}

// give takes the deadline back: the connection goes to the next response.
func (w *connSender) give() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.given = true
	_ = w.conn.SetWriteDeadline(time.Time{})
}

// hurry implements sender.
func (w *connSender) hurry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.given && !w.hurried.Swap(true) {
		_ = w.conn.SetWriteDeadline(time.Now().Add(hurryTimeout)) // it fails if the connection has gone
	}
}

// end implements sender.
func (w *connSender) end() {
	if !w.failed { // or the reader would take what it has for whole
		w.phase.CompareAndSwap(streaming, ended)
		_ = w.write([]byte("0\r\n\r\n"))
	}
}
