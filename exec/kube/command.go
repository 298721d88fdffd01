package kube

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
)

// A command is one that runs in direct mode, or has ended there and is
// remembered.
type command struct {
	x      *Executor
	cmd    exec.Command // with its defaults
	digest string

	endWanted chan struct{} // closed by end
	done      chan struct{} // closed by finish, after which result and err are there

	mu        sync.Mutex
	changed   chan struct{} // closed when there is something to read
	out       output
	fed       time.Time   // when the last output came
	flushing  bool        // a flush is under way
	reason    exec.Reason // why its end was wanted
	place     place       // of its last attempt
	session   string      // the process id of its script
	nonce     string      // of its script; its cookie, too
	released  time.Time   // when its script was told what to run
	refused   string      // the script's reason not to start it
	started   bool
	ends      int // records of its end; 2 are the proof
	code      int
	ended     time.Time // the process
	survivors []int
	killErr   error
	dead      bool // a kill has proved that no process of it is left
	result    exec.Result
	err       error
	finished  time.Time
	followers int // guarded by the lock of x
}

func newCommand(x *Executor, cmd exec.Command, digest string) *command {
	cmd.Stdin = append([]byte(nil), cmd.Stdin...)[:len(cmd.Stdin):len(cmd.Stdin)]
	return &command{
		x:         x,
		cmd:       cmd,
		digest:    digest,
		endWanted: make(chan struct{}),
		done:      make(chan struct{}),
		changed:   make(chan struct{}),
		out:       output{limit: cmd.MaxOutput, spool: spool{dir: x.options.SpoolDir}},
	}
}

// take keeps output of the command. It never waits for a reader.
func (c *command) take(stream exec.Stream, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.take(stream, b)
	c.fed = time.Now()
	if c.out.hasTail() && !c.flushing {
		c.flushing = true
		time.AfterFunc(promptPause, c.flush)
	}
	c.announce()
}

// flush gives out a prompt, which is a line without newline that nothing has
// followed for a while: a chunk of much output ends in the middle of a line, too.
func (c *command) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := promptPause - time.Since(c.fed); wait > 0 && c.out.hasTail() {
		time.AfterFunc(wait, c.flush)
		return
	}
	c.flushing = false
	if !c.isDone() {
		c.out.flush()
		c.announce()
	}
}

// announce wakes the readers. The lock is held.
func (c *command) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// end asks for the end of the command. The first reason counts.
func (c *command) end(reason exec.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == "" && c.ended.IsZero() && !c.isDone() {
		c.reason = reason
		close(c.endWanted)
	}
}

func (c *command) isDone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *command) isEndWanted() bool {
	select {
	case <-c.endWanted:
		return true
	default:
		return false
	}
}

// finish records the outcome.
func (c *command) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.flush()
	c.err = err
	if err == nil {
		c.result = c.outcome()
	}
	c.finished = time.Now()
	close(c.done)
	c.announce()
}

// outcome is the Result of a command whose end was told.
func (c *command) outcome() exec.Result {
	r := exec.Result{
		ExitCode:    c.code,
		Reason:      exec.Exited,
		Lines:       c.out.spool.lines,
		StdoutBytes: c.out.bytes[exec.Stdout],
		StderrBytes: c.out.bytes[exec.Stderr],
		Truncated:   c.out.truncated,
		Survivors:   c.survivors,
		Started:     c.released,
		Ended:       c.ended,
		Duration:    c.ended.Sub(c.released),
	}
	if c.reason != "" {
		r.Reason = c.reason
	}
	if name := signalName(c.code - 128); name != "" {
		r.ExitCode, r.Signal = -1, name
	}
	return r
}

// signalName names a signal by which processes end, and "" is none; a shell tells
// 128 and the number.
func signalName(number int) string {
	if firstRealTime <= number && number <= lastRealTime {
		return "SIG" + strconv.Itoa(number)
	}
	return signals[number]
}

// The real-time signals of Linux, those included that C libraries keep for
// themselves.
const (
	firstRealTime = 32
	lastRealTime  = 64
)

// signals are those that have names.
var signals = map[int]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
	9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
	24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}

// refusal is the error for what the script said instead of starting.
func (c *command) refusal() error {
	switch c.refused {
	case "notfound":
		return fmt.Errorf("%w: %q", exec.ErrProgramNotFound, c.cmd.Argv[0])
	case "notexec":
		return fmt.Errorf("%w: %q", exec.ErrNotExecutable, c.cmd.Argv[0])
	case "outside":
		return &exec.FieldError{Field: "dir", Problem: "leaves the workspace"}
	case "dir":
		return &exec.FieldError{Field: "dir", Problem: "does not exist or cannot be entered"}
	}
	return fmt.Errorf("%w: its workspace cannot be entered", exec.ErrTargetNotReady)
}

func (c *command) endTime() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finished
}
