package server

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/julienschmidt/httprouter"
	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/auth"
)

// An exchange is one request with its response. It is the ResponseWriter of
// its handler, and notes what becomes of it for the log.
type exchange struct {
	http.ResponseWriter
	r      *http.Request
	method string
	id     string     // of the request
	addr   netip.Addr // of the caller, zero if it is not known
	began  time.Time
	route  *route // nil before it is matched
	params httprouter.Params
	caller auth.Principal

	status   int // 0 before the header is written
	written  int64
	code     string      // of the error that was answered
	cause    error       // of that error, for the log
	reason   auth.Reason // why the key was refused, for the log
	bodyRead bool
	taken    bool // the connection was taken over, and the log with it
	streamed bool // the answer is a stream

	commandID string     // of the command that it is about, if the path has none
	span      trace.Span // nil if nobody traces
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.written += int64(n)
	return n, err
}

func (x *exchange) project() string { return x.params.ByName("project") }
func (x *exchange) command() string { return x.params.ByName("command") }
func (x *exchange) keyID() string   { return x.params.ByName("key") }

// setCommonHeaders sets what every response has.
func (x *exchange) setCommonHeaders() {
	h := x.Header()
	h.Set("X-Request-Id", x.id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	if x.r.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
