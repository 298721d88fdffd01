package server

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/orchard9/rdev/rdev"
)

type meta struct {
	RequestID string `json:"request_id"`
}

type success struct {
	Data any  `json:"data"`
	Meta meta `json:"meta"`
}

type failure struct {
	Error failureBody `json:"error"`
	Meta  meta        `json:"meta"`
}

type failureBody struct {
	Code    rdev.Code `json:"code"`
	Message string    `json:"message"`
	Details any       `json:"details,omitzero"`
}

// retryAfter is what a caller is told to wait for at least, when trying again
// may help.
const retryAfter = time.Second

// responseTimeout is how long a caller may take to read an answer that is no
// stream.
const responseTimeout = time.Minute

// reply answers with data.
func (x *exchange) reply(status int, data any) error {
	return x.write(status, success{data, meta{x.id}})
}

// fail answers with an error, or cuts the response if it has begun.
func (s *Server) fail(x *exchange, err error) {
	e, status := describe(err)
	x.code, x.cause = string(e.code), err
	s.noteRefusal(x, e)
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	if s.comeBack(x, status) {
		return
	}
	h := x.Header()
	if x.code == string(rdev.CodeUnauthenticated) {
		h.Set("WWW-Authenticate", `Bearer realm="rdev"`)
	}
	if temporary(status) {
		h.Set("Retry-After", retryIn(max(e.retry, retryAfter)))
	}
	if !x.bodyRead && x.hasBody() && x.r.ProtoMajor == 1 {
		h.Set("Connection", "close") // or the body would have to be read first
	}
	if err := x.write(status, failure{failureBody{e.code, e.message, e.details}, meta{x.id}}); err != nil {
		x.cause = err
	}
}

// temporary reports whether the same request may succeed later.
func temporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

func (x *exchange) write(status int, envelope any) error {
	// Names and messages may come from the targets: a byte that is no UTF-8
	// must not make them unreadable.
	b, err := json.Marshal(envelope, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("server: encode response: %w", err)
	}
	b = append(b, '\n')
	h := x.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	// A ResponseWriter without deadlines has none that could be set.
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(responseTimeout))
	x.WriteHeader(status)
	if _, err := x.Write(b); err != nil {
		x.cause = err // the caller has gone; there is nobody to tell
	}
	return nil
}
