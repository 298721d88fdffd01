package rdev

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/stream"
)

// A Code names a kind of failure. Codes are part of the API: they are stored,
// sent and never renamed.
type Code string

// The codes.
const (
	CodeInvalidArgument   Code = "INVALID_ARGUMENT"
	CodeCommandRejected   Code = "COMMAND_REJECTED" // the policy refuses the command
	CodeUnauthenticated   Code = "UNAUTHENTICATED"
	CodeForbidden         Code = "FORBIDDEN"
	CodeProjectNotFound   Code = "PROJECT_NOT_FOUND"
	CodeUnknownCommand    Code = "UNKNOWN_COMMAND"   // there is no record of it
	CodeCommandNotFound   Code = "COMMAND_NOT_FOUND" // there is no such program
	CodeKeyNotFound       Code = "KEY_NOT_FOUND"
	CodeNotFound          Code = "NOT_FOUND" // no such route
	CodeMethodNotAllowed  Code = "METHOD_NOT_ALLOWED"
	CodeNotAcceptable     Code = "NOT_ACCEPTABLE"
	CodeUnsupportedMedia  Code = "UNSUPPORTED_MEDIA_TYPE"
	CodeGone              Code = "GONE" // the output was there and is retained no longer
	CodePodNotFound       Code = "POD_NOT_FOUND"
	CodePodNotReady       Code = "POD_NOT_READY"
	CodeNotExecutable     Code = "NOT_EXECUTABLE"
	CodeConflict          Code = "CONFLICT"
	CodeCommandLost       Code = "COMMAND_LOST"
	CodeCanceled          Code = "CANCELED"     // ended before it started
	CodeClaudeError       Code = "CLAUDE_ERROR" // claude exited, and did not do what it was asked to
	CodeRateLimited       Code = "RATE_LIMITED"
	CodeTooManyCommands   Code = "TOO_MANY_COMMANDS"
	CodeTooManyStreams    Code = "TOO_MANY_STREAMS"
	CodeOutputLimit       Code = "OUTPUT_LIMIT"
	CodeInsufficientSpace Code = "INSUFFICIENT_STORAGE"
	CodeUnavailable       Code = "UNAVAILABLE"
	CodeDeadlineExceeded  Code = "DEADLINE_EXCEEDED"
	CodeInternal          Code = "INTERNAL"
)

// Errors of a Service that no port declares. Test with errors.Is.
var (
	// ErrProjectNotFound: there is no such project, or the caller's key does
	// not allow it to know.
	ErrProjectNotFound = errors.New("rdev: project not found")
	// ErrForbidden: the caller's key lacks a scope.
	ErrForbidden = errors.New("rdev: forbidden")
	// ErrIdempotencyConflict: the idempotency key was used for another request.
	ErrIdempotencyConflict = errors.New("rdev: idempotency key was used for another request")
	// ErrShuttingDown: the service takes no new commands.
	ErrShuttingDown = errors.New("rdev: shutting down")
	// ErrInvalidArgument: errors.As with an *ArgumentError tells the field.
	ErrInvalidArgument = errors.New("rdev: invalid argument")
)

// An ArgumentError names the part of a request that is wrong. It wraps
// ErrInvalidArgument.
type ArgumentError struct {
	Field   string // as in JSON: "timeout", "argv[2]"
	Problem string
}

func (e *ArgumentError) Error() string { return fmt.Sprintf("%s %s", e.Field, e.Problem) }

// Unwrap returns ErrInvalidArgument.
func (e *ArgumentError) Unwrap() error { return ErrInvalidArgument }

// codes maps the sentinels of the ports to codes; the first match counts.
var codes = []struct {
	err  error
	code Code
}{
	{ErrInvalidArgument, CodeInvalidArgument},
	{exec.ErrInvalidCommand, CodeInvalidArgument},
	{policy.ErrRefused, CodeCommandRejected},
	{auth.ErrUnauthenticated, CodeUnauthenticated},
	{ErrForbidden, CodeForbidden},
	{ErrProjectNotFound, CodeProjectNotFound},
	{ErrCommandNotFound, CodeUnknownCommand},
	{ErrNoAudit, CodeNotFound},
	{auth.ErrKeyNotFound, CodeKeyNotFound},
	{auth.ErrKeyReplaced, CodeConflict},
	{auth.ErrKeyRevoked, CodeConflict},
	{auth.ErrKeyExists, CodeConflict},
	{auth.ErrPredecessorWorks, CodeConflict},
	{ErrIdempotencyConflict, CodeConflict},
	{ErrStaleState, CodeConflict},
	{ErrTooManyCommands, CodeTooManyCommands},
	{ErrShuttingDown, CodeUnavailable},
	{exec.ErrProgramNotFound, CodeCommandNotFound},
	{exec.ErrNotExecutable, CodeNotExecutable},
	{exec.ErrTargetNotFound, CodePodNotFound},
	{exec.ErrTargetNotReady, CodePodNotReady},
	{exec.ErrConflict, CodeConflict},
	{exec.ErrLost, CodeCommandLost},
	{exec.ErrOutcomeUnknown, CodeCommandLost},
	{exec.ErrNotStarted, CodeUnavailable},
	{stream.ErrClosed, CodeUnavailable},
	{context.DeadlineExceeded, CodeDeadlineExceeded},
	{context.Canceled, CodeUnavailable},
}

// CodeOf returns the code of an error: "" for nil, CodeInternal for one that
// is not known.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return CodeInternal
}
