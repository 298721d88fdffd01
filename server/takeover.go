package server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
)

// takeOver takes the connection of a stream away from net/http, sends the
// header with the first frames and serves the rest from a goroutine of its own.
// It reports whether it did: only on HTTP/1.1, and only if nothing stands
// between the http.Server and this handler that would think the response over
// when the handler returns.
//
// What net/http holds for a response (buffers of 10 KB, the request, two
// stacks that have grown) is more than a reader that waits needs.
func (s *Server) takeOver(x *exchange, rd *reader, status int) bool {
	ctx := x.r.Context()
	hs, _ := ctx.Value(http.ServerContextKey).(*http.Server)
	if ctx.Value(ownServer{}) != s || hs == nil || hs.Handler != http.Handler(s) || x.r.ProtoMajor != 1 || x.r.ProtoMinor != 1 {
		return false
	}
	conn, buffered, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		return false
	}
	if again, ok := conn.(*unread); ok && again.data == nil {
		conn = again.Conn
	}
	out := &connSender{conn: conn, timeout: s.cfg.WriteTimeout}
	// A connection with TLS cannot go back: net/http would not know it as one.
	last := x.r.Close || x.r.TLS != nil || buffered.Reader.Buffered() > 0
	if last {
		out.phase.Store(lastOfConn)
	}
	header := streamHead(x.Header(), status, last)
	rd.ctx = context.Background()
	rd.attach(out)
	x.taken = true
	// Nothing of the request is kept but what the log says of it.
	entry := &exchange{
		method: x.method, id: x.id, addr: x.addr, began: x.began, route: x.route, params: x.params,
		caller: auth.Principal{KeyID: x.caller.KeyID}, status: status, streamed: true, commandID: x.commandID, span: x.span,
	}
	go s.serveTaken(hs, rd, out, entry, header)
	return true
}

// streamHead returns the status line and the header of a stream; last says that
// no other response follows on the connection.
func streamHead(h http.Header, status int, last bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("Transfer-Encoding", "chunked")
	if last {
		h.Set("Connection", "close")
	}
	_ = h.Write(&b) // a Buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

func (s *Server) serveTaken(hs *http.Server, rd *reader, out *connSender, entry *exchange, header []byte) {
	over := make(chan struct{}) // nothing more is written here
	kept := false
	defer func() {
		if v := recover(); v != nil {
			entry.code = string(rdev.CodeInternal)
			s.logPanic(entry, v)
			kept = false
		}
		if kept {
			out.give()
			kept = s.idle.enter(out)
		}
		if !kept {
			_ = out.conn.Close()
		}
		close(over)
		entry.written = out.written
		s.logRequest(entry)
		rd.close() // last, because Drain waits for it
	}()
	if entry.cause = out.write(append(header, chunkOf(rd.first)...)); entry.cause != nil {
		return
	}
	header, rd.first = nil, nil
	go s.listen(hs, rd, out, over)
	entry.cause = rd.serve()
	kept = out.phase.Load() == ended && !out.failed
}

// listen waits for the caller to hang up. What it sends while its response goes
// on is thrown away: there is nothing to say in this direction. What it sends
// after is its next request, with which the connection goes back to net/http.
func (s *Server) listen(hs *http.Server, rd *reader, out *connSender, over <-chan struct{}) {
	var b [64]byte
	for {
		n, err := out.conn.Read(b[:])
		switch {
		case err != nil:
			rd.gone.Store(true)
			rd.sub.Close()
			<-over
			if s.idle.leave(out) {
				_ = out.conn.Close()
			}
			return
		case out.phase.CompareAndSwap(streaming, lastOfConn), out.phase.Load() == lastOfConn:
			continue
		}
		<-over
		if s.idle.leave(out) {
			serveAgain(hs, out.conn, b[:n])
		}
		return
	}
}

// serveAgain gives a connection back to net/http, and what was read of it.
func serveAgain(hs *http.Server, conn net.Conn, read []byte) {
	_ = conn.SetReadDeadline(time.Time{})
	listener := oneConn{conn: &unread{Conn: conn, data: read}}
	_ = hs.Serve(&listener)   // it ends with the second Accept
	if listener.conn != nil { // hs is shut down
		_ = conn.Close()
	}
}

// oneConn is a listener that accepts one connection.
type oneConn struct{ conn *unread }

func (l *oneConn) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, net.ErrClosed
	}
	conn := l.conn
	l.conn = nil
	return conn, nil
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return noAddr{} }

type noAddr struct{}

func (noAddr) Network() string { return "tcp" }
func (noAddr) String() string  { return "again" }

// unread is a connection of which something was read already.
type unread struct {
	net.Conn
	data []byte
}

func (c *unread) Read(b []byte) (int, error) {
	if len(c.data) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.data)
	if c.data = c.data[n:]; len(c.data) == 0 {
		c.data = nil
	}
	return n, nil
}

// idleConns are the connections whose stream has ended, and on which no other
// request has begun. The zero value is ready.
type idleConns struct {
	mu     sync.Mutex
	all    map[*connSender]struct{}
	closed bool
}

// enter lets a connection wait for its next request. It reports false if there
// is to be none.
func (i *idleConns) enter(w *connSender) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false
	}
	if i.all == nil {
		i.all = map[*connSender]struct{}{}
	}
	i.all[w] = struct{}{}
	_ = w.conn.SetReadDeadline(time.Now().Add(idleTimeout))
	return true
}

// leave reports whether the connection was still waiting.
func (i *idleConns) leave(w *connSender) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, waited := i.all[w]
	delete(i.all, w)
	return waited
}

// close closes those that wait, and lets none enter.
func (i *idleConns) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	for w := range i.all {
		_ = w.conn.Close()
	}
	i.all = nil
}
