package server

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A sender brings frames to one reader. frames begin with headroom bytes that
// are the sender's.
type sender interface {
	// send writes them at once, and gives the reader a limited time to take
	// them.
	send(frames []byte) error
	// end is called when nothing follows.
	end()
}

// A responseSender writes through a ResponseWriter, of HTTP/2 and behind any
// middleware too.
type responseSender struct {
	x       *exchange
	control *http.ResponseController
	timeout time.Duration
}

// newResponseSender checks that the ResponseWriter can do what a stream needs.
// One that some middleware has wrapped without an Unwrap method cannot.
func newResponseSender(x *exchange, timeout time.Duration) (*responseSender, error) {
	w := &responseSender{x, http.NewResponseController(x.ResponseWriter), timeout}
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
	if err := w.control.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err
	}
	if _, err := w.x.Write(frames[headroom:]); err != nil {
		return err
	}
	if err := w.control.Flush(); err != nil {
		return err
	}
	return w.control.SetWriteDeadline(time.Time{})
}

// end implements sender: it bounds what net/http writes by itself when the
// handler has returned.
func (w *responseSender) end() { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }

// A connSender writes a chunked response of HTTP/1.1 to a connection that was
// taken over: one chunk for all frames, in one system call.
type connSender struct {
	conn    net.Conn
	timeout time.Duration
	written int64
	failed  bool
}

// send implements sender.
func (w *connSender) send(frames []byte) error {
	var digits [headroom]byte
	size := strconv.AppendInt(digits[:0], int64(len(frames)-headroom), 16)
	size = append(size, "\r\n"...)
	begin := headroom - len(size)
	copy(frames[begin:], size)
	return w.write(append(frames, "\r\n"...)[begin:])
}

func (w *connSender) write(b []byte) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err
	}
	n, err := w.conn.Write(b)
	w.written += int64(n)
	w.failed = err != nil
	return err
}

// end implements sender.
func (w *connSender) end() {
	if !w.failed { // or the reader would take what it has for whole
		_ = w.write([]byte("0\r\n\r\n"))
	}
}
