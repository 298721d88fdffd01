package exectest

import (
	"time"

	"github.com/orchard9/rdev/exec"
)

// A Script is what a command of a Fake does: its steps, one after the other,
// then its end.
type Script struct {
	Steps []Step
	// ExitCode is the exit code, 0 to 255.
	ExitCode int
	// Signal is the signal that ends the process ("SIGSEGV"). The exit code is
	// -1 then.
	Signal string
	// Err is what Execute returns instead of a Result. A Script with an Err
	// that wraps ErrLost or ErrOutcomeUnknown makes its steps first; with any
	// other the command does not run at all.
	Err error
	// IgnoreTerm makes the command outlive TERM: it ends by KILL when its
	// grace period is over.
	IgnoreTerm bool
}

// A Step writes to one of the outputs.
type Step struct {
	// Delay is the pause before the step.
	Delay time.Duration
	// Stream defaults to exec.Stdout.
	Stream exec.Stream
	// Text is what is written, any bytes. Lines end at \n.
	Text string
}

// Lines returns a Script that prints the lines to stdout and exits with 0.
func Lines(lines ...string) Script {
	var script Script
	for _, line := range lines {
		script.Steps = append(script.Steps, Step{Text: line + "\n"})
	}
	return script
}
