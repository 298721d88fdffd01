package server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
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
	conn, _, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		return false
	}
	header := streamHead(x.Header(), status)
	out := &connSender{conn: conn, timeout: s.cfg.WriteTimeout}
	rd.ctx = context.Background()
	rd.attach(out)
	x.taken = true
	// Nothing of the request is kept but what the log says of it.
	entry := &exchange{
		method: x.method, id: x.id, addr: x.addr, began: x.began, route: x.route, params: x.params,
		caller: auth.Principal{KeyID: x.caller.KeyID}, status: status, streamed: true, commandID: x.commandID, span: x.span,
	}
	go s.serveTaken(rd, out, entry, header)
	return true
}

// streamHead returns the status line and the header of a stream.
func streamHead(h http.Header, status int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("Transfer-Encoding", "chunked")
	h.Set("Connection", "close")
	_ = h.Write(&b) // a Buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

func (s *Server) serveTaken(rd *reader, out *connSender, entry *exchange, header []byte) {
	defer func() {
		if v := recover(); v != nil {
			entry.code = string(rdev.CodeInternal)
			s.logPanic(entry, v)
		}
		_ = out.conn.Close()
		entry.written = out.written
		s.logRequest(entry)
		rd.close() // last, because Drain waits for it
	}()
	if entry.cause = out.write(header); entry.cause != nil {
		return
	}
	if entry.cause = out.send(rd.first); entry.cause != nil {
		return
	}
	header, rd.first = nil, nil
	go rd.listen(out.conn)
	entry.cause = rd.serve()
}

// listen waits for the caller to hang up. What it sends is thrown away: there
// is nothing to say in this direction.
func (rd *reader) listen(conn net.Conn) {
	var b [64]byte
	for {
		if _, err := conn.Read(b[:]); err != nil {
			rd.gone.Store(true)
			rd.sub.Close()
			return
		}
	}
}
