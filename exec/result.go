package exec

import "time"

// Stream tells which of a command's outputs a Line came from.
type Stream uint8

// The two outputs. The values are stored and sent; they do not change.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String returns "stdout" or "stderr".
func (s Stream) String() string {
	switch s {
	case Stdout:
		return "stdout"
	case Stderr:
		return "stderr"
	}
	return "unknown"
}

// A Line is a piece of output. The bytes of a stream are the concatenation of
// its Lines' Data, with a newline after each one that is not Partial.
type Line struct {
	// Seq numbers the lines of a command from 1, without holes, over both
	// streams together. It is assigned where the command runs, once: whoever
	// reads, today or after a crash, gets the same numbers.
	Seq    uint64
	Stream Stream
	// Partial says that no newline follows: the line is longer than MaxLine
	// and goes on in the next Line of its stream, or it was flushed because
	// the command paused (a prompt) or ended without a newline.
	Partial bool
	// Time is when the line was read from the command.
	Time time.Time
	// Data is the line without its newline: any bytes but \n, at most MaxLine.
	Data []byte
}

// Reason says why a command ended.
type Reason string

// The reasons.
const (
	Exited   Reason = "exited"    // by itself, or by a signal that rdev did not send
	Canceled Reason = "canceled"  // by Cancel or the end of Execute's context
	TimedOut Reason = "timed_out" // by its Timeout
)

// A Result is the outcome of a command whose end was seen.
type Result struct {
	// ExitCode is the exit code, 0 to 255, or -1 if a signal ended the process.
	ExitCode int `json:"exit_code"`
	// Signal is the name of that signal ("SIGKILL"; "SIG34" where it is a
	// real-time signal, which has none of its own), else empty.
	Signal string `json:"signal,omitempty"`
	Reason Reason `json:"reason"`
	// Lines is the Seq of the last line, zero if there was none.
	Lines uint64 `json:"lines"`
	// StdoutBytes and StderrBytes count everything that the command wrote,
	// newlines and discarded output included.
	StdoutBytes int64 `json:"stdout_bytes"`
	StderrBytes int64 `json:"stderr_bytes"`
	// Truncated says that output past MaxOutput, or past the end of the disk,
	// was counted and thrown away.
	Truncated bool `json:"truncated,omitempty"`
	// Survivors are the ids of processes that were still alive after the last
	// KILL (in an uninterruptible sleep, owned by another user, or started
	// faster than they could be killed), or that showed nothing by which they
	// could be told from the command's. Empty is the proof that none is left.
	Survivors []int     `json:"survivors,omitempty"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	// Duration is the running time on the monotonic clock.
	Duration time.Duration `json:"duration"`
}
