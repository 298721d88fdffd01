package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// An apiError is a failure in the words of the API.
type apiError struct {
	code    rdev.Code
	message string
	details any // nil, or something that encodes as an object
	// retry is how long to wait before trying again may help, if that is known.
	retry time.Duration
}

func (e *apiError) Error() string { return e.message }

// fieldDetails are the details of INVALID_ARGUMENT.
type fieldDetails struct {
	// Field is the part of the request: "argv[2]" in the body, the name of a
	// query parameter or a header, "body" or "path".
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// refusalDetails are the details of COMMAND_REJECTED.
type refusalDetails struct {
	Rule   string `json:"rule"`
	Field  string `json:"field,omitzero"`
	Token  string `json:"token,omitzero"`
	Column int    `json:"column,omitzero"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitzero"`
}

// scopeDetails are the details of FORBIDDEN where a scope is missing.
type scopeDetails struct {
	Scope auth.Scope `json:"scope"`
}

func invalid(field, problem string) error {
	return &apiError{code: rdev.CodeInvalidArgument, message: field + " " + problem, details: fieldDetails{field, problem}}
}

// statuses says how each code is answered. Message is sent where the text of
// the error is not made for the caller; where it is empty, the error's is sent.
var statuses = map[rdev.Code]struct {
	status  int
	message string
}{
	rdev.CodeInvalidArgument:   {http.StatusBadRequest, ""},
	rdev.CodeCommandRejected:   {http.StatusUnprocessableEntity, ""},
	rdev.CodeUnauthenticated:   {http.StatusUnauthorized, "a valid key is needed: Authorization: Bearer <key>"},
	rdev.CodeForbidden:         {http.StatusForbidden, ""},
	rdev.CodeProjectNotFound:   {http.StatusNotFound, "there is no such project"},
	rdev.CodeUnknownCommand:    {http.StatusNotFound, "there is no such command in this project"},
	rdev.CodeCommandNotFound:   {http.StatusUnprocessableEntity, "there is no such program"},
	rdev.CodeKeyNotFound:       {http.StatusNotFound, "there is no such key"},
	rdev.CodeNotFound:          {http.StatusNotFound, ""},
	rdev.CodeMethodNotAllowed:  {http.StatusMethodNotAllowed, ""},
	rdev.CodeNotAcceptable:     {http.StatusNotAcceptable, ""},
	rdev.CodeUnsupportedMedia:  {http.StatusUnsupportedMediaType, ""},
	rdev.CodeGone:              {http.StatusGone, ""},
	rdev.CodePodNotFound:       {http.StatusNotFound, "the project's pod is not there"},
	rdev.CodePodNotReady:       {http.StatusServiceUnavailable, "the project's pod cannot run commands now"},
	rdev.CodeNotExecutable:     {http.StatusUnprocessableEntity, "the program cannot be executed"},
	rdev.CodeConflict:          {http.StatusConflict, ""},
	rdev.CodeCommandLost:       {http.StatusConflict, "how the command ended is unknown"},
	rdev.CodeClaudeError:       {http.StatusUnprocessableEntity, "claude reported an error"},
	rdev.CodeCanceled:          {http.StatusConflict, "the command was cancelled"},
	rdev.CodeRateLimited:       {http.StatusTooManyRequests, "too many requests"},
	rdev.CodeTooManyCommands:   {http.StatusTooManyRequests, ""},
	rdev.CodeTooManyStreams:    {http.StatusTooManyRequests, "too many streams are open"},
	rdev.CodeOutputLimit:       {http.StatusUnprocessableEntity, "the command has printed more than is kept"},
	rdev.CodeInsufficientSpace: {http.StatusInsufficientStorage, "there is no room left"},
	rdev.CodeUnavailable:       {http.StatusServiceUnavailable, "not available now, try again"},
	rdev.CodeDeadlineExceeded:  {http.StatusGatewayTimeout, "it took too long, try again"},
	rdev.CodeInternal:          {http.StatusInternalServerError, "something went wrong here; the log tells more under this request id"},
}

// describe returns an error in the words of the API, and its status. What is
// not known is INTERNAL, and its text is not told.
func describe(err error) (apiError, int) {
	var e apiError
	var own *apiError
	var argument *rdev.ArgumentError
	var field *exec.FieldError
	var refusal *policy.Refusal
	var limit *rdev.LimitError
	switch {
	case errors.As(err, &own):
		e = *own
	case errors.As(err, &argument):
		e = apiError{code: rdev.CodeInvalidArgument, message: argument.Error(), details: fieldDetails{argument.Field, argument.Problem}}
	case errors.As(err, &limit):
		e = apiError{code: rdev.CodeTooManyCommands, message: limit.Error(), details: limitDetails{limit.Limit, limit.Max}}
	case errors.As(err, &field):
		name := field.Field
		if name == "dir" { // as the API calls it
			name = "cwd"
		}
		e = apiError{code: rdev.CodeInvalidArgument, message: name + " " + field.Problem, details: fieldDetails{name, field.Problem}}
	case errors.As(err, &refusal):
		e = apiError{code: rdev.CodeCommandRejected, message: strings.TrimPrefix(refusal.Error(), "policy: "),
			details: refusalDetails{refusal.Code, refusal.Field, refusal.Token, refusal.Column, refusal.Reason, refusal.Hint}}
	default:
		e = apiError{code: rdev.CodeOf(err), message: message(err)}
	}
	row, known := statuses[e.code]
	if !known {
		e = apiError{code: rdev.CodeInternal}
		row = statuses[rdev.CodeInternal]
	}
	if row.message != "" && own == nil || e.message == "" {
		e.message = row.message
	}
	return e, row.status
}

// message returns the text of an error whose code does not say enough.
func message(err error) string {
	for _, m := range []struct {
		err  error
		text string
	}{
		{rdev.ErrIdempotencyConflict, "the Idempotency-Key was used for another request"},
		{auth.ErrKeyReplaced, "the key was rotated already"},
		{auth.ErrKeyRevoked, "the key was revoked"},
		{auth.ErrPredecessorWorks, "the key that this one took the place of works still; revoke that one first, wait for its end, or rotate without a grace period"},
		{rdev.ErrStaleState, "it has ended already"},
	} {
		if errors.Is(err, m.err) {
			return m.text
		}
	}
	return strings.TrimPrefix(err.Error(), rdev.ErrForbidden.Error()+": ")
}
