// Package exec is the port through which rdev runs commands: the Executor
// interface, the Command it takes, the Lines and the Result it gives back, and
// the errors it may return.
//
// Implementations live in subpackages (exec/local runs commands on this
// machine); "implements" means that the contract suite in exec/exectest passes
// under the race detector.
package exec

import (
	"context"
)

// An Executor runs commands in targets. What a target name means (a folder, a
// pod) is the implementation's affair.
//
// All methods are safe for concurrent use.
type Executor interface {
	// Execute runs cmd and blocks until it has ended and all of its output has
	// been given to sink.
	//
	// It is get-or-create by cmd.ID: if the ID already runs in that target, or
	// has ended there and is still remembered, Execute follows it instead of
	// starting a second one. A caller that lost its connection or its process
	// calls Execute again with cmd.After set to the last Seq it has, and goes
	// on where it was; it sets cmd.Resume if it does not know whether the
	// command was started, so that it is not started a second time where its ID
	// is not remembered. The same ID with another specification (every field
	// but Target.Instance, After and Resume) is ErrConflict. Several callers may
	// follow one command at once.
	//
	// sink receives the lines with Seq > cmd.After, in order, without holes,
	// in batches of at least one line, from one goroutine at a time and never
	// after Execute has returned. The slice and the Data in it are valid during
	// the call only. While sink blocks, the command is not held up: its output
	// waits where the command runs.
	//
	// A process that was seen to end is a Result, whatever its exit code. An
	// error means that there is no exit code; errors.Is tells which case:
	// ErrInvalidCommand, ErrConflict, ErrTargetNotFound, ErrTargetNotReady,
	// ErrProgramNotFound, ErrNotExecutable, ErrNotStarted, ErrOutcomeUnknown,
	// ErrLost.
	//
	// If ctx ends first, the command is cancelled: Execute returns after every
	// process of the command is seen dead and the output up to then has been
	// given to sink, with the Result (Reason Canceled) and a nil error. If
	// context.Cause(ctx) wraps ErrDetached, the command is left running instead
	// and Execute returns an error that wraps ErrDetached at once. An error from sink works
	// likewise: one that wraps ErrDetached leaves the command running, any
	// other cancels it, and Execute returns that error.
	Execute(ctx context.Context, cmd Command, sink func([]Line) error) (Result, error)

	// Cancel ends the command: TERM to its process group, its grace period,
	// KILL, then every process that still belongs to it, until none is left.
	// It returns when that has been seen, or with an error that says what
	// could not be verified. It is idempotent: cancelling an ended command or
	// an ID that the target does not know is nil.
	Cancel(ctx context.Context, target Target, id string) error
}

// A Locator is an Executor that can say which incarnation of a target a new
// command would run in. A caller that records the answer before its first
// Execute can never start a command a second time in a replacement of the
// target (a pod recreated under the same name, a wiped state folder): Execute
// with a Target whose Instance is gone is ErrLost.
type Locator interface {
	// Locate returns target with Instance filled in, or ErrTargetNotFound or
	// ErrTargetNotReady.
	Locate(ctx context.Context, name string) (Target, error)
}

// A Killer is an Executor that can do without the grace period.
type Killer interface {
	// Kill is Cancel with KILL at once, also for a command that is in its
	// grace period already.
	Kill(ctx context.Context, target Target, id string) error
}

// A Forgetter is an Executor that can be told that nobody will ask for a command
// again, so that its output is deleted where it ran. Execute of its ID is
// ErrOutcomeUnknown afterwards: a caller that was held up, and does not know that
// another one has taken the command over, must not start it again. That need not
// hold for ever without Resume.
type Forgetter interface {
	// Forget deletes what is kept of an ended command. One that is not known is
	// nil; one that has not ended is an error.
	Forget(ctx context.Context, target Target, id string) error
}

// Target names the place where a command runs.
type Target struct {
	// Name is the executor's name of the place, for rdev the project's name.
	Name string `json:"name"`
	// Instance is the incarnation of the place as Locate returned it, opaque
	// to callers. Empty means whichever is there now.
	Instance string `json:"instance,omitempty"`
}
