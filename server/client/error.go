package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// An Error is an answer of the server that says no. errors.Is compares it with
// a Code.
type Error struct {
	Status    int // of HTTP
	Code      Code
	Message   string
	Details   json.RawMessage // an object, or nil
	RequestID string          // names the request in the server's log

	// RetryAfter is how long the server asks to wait, zero if it does not say.
	RetryAfter time.Duration
}

// Error tells the code, the message and the request id.
func (e *Error) Error() string {
	text := fmt.Sprintf("rdev: %s: %s", e.Code, e.Message)
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// Is makes errors.Is(err, code) work.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Field returns which part of the request is wrong, if the server named it.
func (e *Error) Field() string {
	var details struct {
		Field string `json:"field"`
	}
	if json.Unmarshal(e.Details, &details) != nil {
		return ""
	}
	return details.Field
}

// temporary reports whether the same request may succeed later.
func (e *Error) temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusBadGateway ||
		e.Status == http.StatusServiceUnavailable || e.Status == http.StatusGatewayTimeout
}

// readError makes an Error of an answer. What is not from rdev, a proxy's for
// example, has no code of its own.
func readError(resp *http.Response) *Error {
	const most = 64 << 10
	body, _ := io.ReadAll(io.LimitReader(resp.Body, most))
	var envelope struct {
		Error struct {
			Code    Code            `json:"code"`
			Message string          `json:"message"`
			Details json.RawMessage `json:"details"`
		} `json:"error"`
		Meta struct {
			RequestID string `json:"request_id"`
		} `json:"meta"`
	}
	e := &Error{Status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds < 3600 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	if json.Unmarshal(body, &envelope) == nil && envelope.Error.Code != "" {
		e.Code, e.Message = envelope.Error.Code, envelope.Error.Message
		e.Details, e.RequestID = envelope.Error.Details, envelope.Meta.RequestID
		return e
	}
	e.Message = "the answer is not from rdev: " + resp.Status
	switch {
	case e.temporary():
		e.Code = Unavailable
	case e.Status == http.StatusUnauthorized:
		e.Code = Unauthenticated
	case e.Status == http.StatusForbidden:
		e.Code = Forbidden
	default:
		e.Code = Internal
	}
	return e
}
