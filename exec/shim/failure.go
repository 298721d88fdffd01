package shim

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/orchard9/rdev/exec"
)

// errUnknownCommand answers a request that may not start the command.
var errUnknownCommand = errors.New("command is not known here")

// A failureCode names a sentinel on the wire. The values do not change.
type failureCode struct {
	code string
	err  error
}

// failureCodes are the errors that keep their identity over a connection. An
// error may wrap several.
func failureCodes() []failureCode {
	return []failureCode{
		{"invalid_command", exec.ErrInvalidCommand},
		{"conflict", exec.ErrConflict},
		{"target_not_found", exec.ErrTargetNotFound},
		{"target_not_ready", exec.ErrTargetNotReady},
		{"program_not_found", exec.ErrProgramNotFound},
		{"not_executable", exec.ErrNotExecutable},
		{"not_started", exec.ErrNotStarted},
		{"outcome_unknown", exec.ErrOutcomeUnknown},
		{"lost", exec.ErrLost},
		{"closed", ErrClosed},
		{"running", ErrRunning},
		{"unknown_command", errUnknownCommand},
	}
}

// failure is the payload of kindFailure.
type failure struct {
	Message string   `json:"message"`
	Codes   []string `json:"codes,omitempty"`
	// Of an exec.FieldError.
	Field   string `json:"field,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func encodeFailure(err error) []byte {
	f := failure{Message: err.Error()}
	for _, c := range failureCodes() {
		if errors.Is(err, c.err) {
			f.Codes = append(f.Codes, c.code)
		}
	}
	var field *exec.FieldError
	if errors.As(err, &field) {
		f.Field, f.Problem = field.Field, field.Problem
	}
	b, _ := json.Marshal(f) // strings: no error
	if len(b) > maxPayload {
		f.Message = f.Message[:1<<10]
		b, _ = json.Marshal(f)
	}
	return b
}

// remoteError is an error of the engine on the other side of a connection: the
// same text, and errors.Is and errors.As find the same in it.
type remoteError struct {
	message string
	causes  []error
}

func (e *remoteError) Error() string   { return e.message }
func (e *remoteError) Unwrap() []error { return e.causes }

// decodeFailure returns the error, or a second one if there is none in b.
func decodeFailure(b []byte) (told, err error) {
	var f failure
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, protocolErrorf("a malformed failure")
	}
	e := &remoteError{message: f.Message}
	for _, c := range failureCodes() {
		if slices.Contains(f.Codes, c.code) {
			e.causes = append(e.causes, c.err)
		}
	}
	if f.Field != "" {
		e.causes = append(e.causes, &exec.FieldError{Field: f.Field, Problem: f.Problem})
	}
	return e, nil
}
