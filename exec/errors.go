package exec

import (
	"errors"
	"fmt"
)

// The outcomes without a Result. Implementations wrap them; test with
// errors.Is.
var (
	// ErrInvalidCommand: the command can never run as it is. errors.As with a
	// *FieldError tells the field.
	ErrInvalidCommand = errors.New("invalid command")
	// ErrConflict: the ID is taken by a command with another specification.
	ErrConflict = errors.New("command id is taken by another command")
	// ErrTargetNotFound: there is no such target.
	ErrTargetNotFound = errors.New("target not found")
	// ErrTargetNotReady: the target is there but cannot run commands now.
	ErrTargetNotReady = errors.New("target not ready")
	// ErrProgramNotFound: there is no such program in the target (a shell
	// would exit with 127). The command has ended.
	ErrProgramNotFound = errors.New("program not found")
	// ErrNotExecutable: the program is there but cannot be executed (a shell
	// would exit with 126). The command has ended.
	ErrNotExecutable = errors.New("program not executable")
	// ErrNotStarted: the command certainly did not run and may be tried again.
	// Of one with Command.Resume, it says so of this call alone.
	ErrNotStarted = errors.New("command not started")
	// ErrOutcomeUnknown: the command may have run, and how it ended cannot be
	// known. It must not be tried again blindly.
	ErrOutcomeUnknown = errors.New("command outcome unknown")
	// ErrLost: the command ran, and its supervisor or its target is gone.
	ErrLost = errors.New("command lost")
	// ErrDetached is no failure but the cause to cancel Execute's context with
	// (context.WithCancelCause) when the command shall be left running.
	ErrDetached = errors.New("detached from command")
)

// FieldError names the field of a Command that is wrong. It wraps
// ErrInvalidCommand.
type FieldError struct {
	Field   string // as in JSON: "argv[2]", "dir"
	Problem string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("exec: %v: %s %s", ErrInvalidCommand, e.Field, e.Problem)
}

// Unwrap returns ErrInvalidCommand.
func (e *FieldError) Unwrap() error { return ErrInvalidCommand }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
