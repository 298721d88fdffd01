package server

import (
	"net/http"

	"github.com/orchard9/rdev/stream/sse"
)

// comeBack answers a reader that reconnects, and cannot be served right now,
// with an empty stream that tells it when to try again. A native EventSource
// takes any other status than 200 for final and would be lost for good. The
// first connection gets the plain error.
func (s *Server) comeBack(x *exchange, status int) bool {
	if x.route == nil || x.route.path != eventsPath || x.r.Header.Get(lastEventIDHeader) == "" {
		return false
	}
	if status != http.StatusTooManyRequests && status < http.StatusInternalServerError {
		return false
	}
	x.streamed = true
	streamHeaders(x.Header())
	x.WriteHeader(http.StatusOK)
	frame := sse.AppendComment(appendRetry(nil, drainLeast, drainMost), x.code)
	if _, err := x.Write(frame); err != nil {
		x.cause = err
	}
	return true
}
