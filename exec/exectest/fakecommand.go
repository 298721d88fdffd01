package exectest

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
)

// flushAfter is the pause after which a line without its newline is given as
// it is.
const flushAfter = 100 * time.Millisecond

// A fakeCommand is a command of a Fake that was started.
type fakeCommand struct {
	digest string
	cmd    exec.Command
	script Script
	ended  chan struct{} // closed at the end, after result and err are set
	result exec.Result
	err    error

	stopOnce sync.Once
	stopped  chan struct{} // closed when somebody ends it
	reason   exec.Reason   // set before stopped is closed

	// The fields below belong to the command's goroutine, lines and changed
	// under mu.
	pending map[exec.Stream][]byte // lines without their newlines, by stream
	kept    int64                  // bytes, held against MaxOutput

	mu      sync.Mutex
	lines   []exec.Line
	changed chan struct{} // closed when lines grow or the command ends
}

func startFake(cmd exec.Command, script Script) *fakeCommand {
	c := &fakeCommand{
		digest:  cmd.Digest(),
		cmd:     cmd,
		script:  script,
		ended:   make(chan struct{}),
		stopped: make(chan struct{}),
		pending: map[exec.Stream][]byte{},
		changed: make(chan struct{}),
	}
	go c.play()
	return c
}

// cancel ends the command, unless it is being ended already.
func (c *fakeCommand) cancel(reason exec.Reason) {
	c.stopOnce.Do(func() {
		c.reason = reason
		close(c.stopped)
	})
}

// read returns copies of the lines after one, whether the command is over, and
// what to wait for if there are none.
func (c *fakeCommand) read(after uint64) (lines []exec.Line, over bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if after < uint64(len(c.lines)) {
		lines = slices.Clone(c.lines[after:min(after+256, uint64(len(c.lines)))])
		for i := range lines {
			lines[i].Data = slices.Clone(lines[i].Data)
		}
	}
	select {
	case <-c.ended:
		over = true
	default:
	}
	return lines, over, c.changed
}

// play makes the steps and the end.
func (c *fakeCommand) play() {
	c.result = exec.Result{Reason: exec.Exited, ExitCode: c.script.ExitCode, Signal: c.script.Signal, Started: time.Now()}
	if c.result.Signal != "" {
		c.result.ExitCode = -1
	}
	if c.cmd.Timeout > 0 {
		timer := time.AfterFunc(c.cmd.Timeout, func() { c.cancel(exec.TimedOut) })
		defer timer.Stop()
	}
	if !c.steps() {
		c.result.Reason, c.result.ExitCode, c.result.Signal = c.reason, -1, "SIGTERM"
		if c.cmd.Grace < 0 {
			c.result.Signal = "SIGKILL"
		} else if c.script.IgnoreTerm {
			time.Sleep(c.cmd.Grace)
			c.result.Signal = "SIGKILL"
		}
	}
	c.flush()
	if c.script.Err != nil {
		c.result, c.err = exec.Result{}, c.script.Err
	} else {
		c.result.Ended = time.Now()
		c.result.Duration = c.result.Ended.Sub(c.result.Started)
		c.result.Lines = uint64(len(c.lines))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.ended)
	close(c.changed)
}

// steps reports whether all steps were made before somebody ended the command.
func (c *fakeCommand) steps() bool {
	for _, step := range c.script.Steps {
		if !c.pause(step.Delay) {
			return false
		}
		if step.Stream == 0 {
			step.Stream = exec.Stdout
		}
		c.write(step.Stream, []byte(step.Text))
	}
	select {
	case <-c.stopped:
		return false
	default:
		return true
	}
}

// pause reports whether the time went by before somebody ended the command.
func (c *fakeCommand) pause(d time.Duration) bool {
	if d > flushAfter {
		if !c.wait(flushAfter) {
			return false
		}
		c.flush()
		d -= flushAfter
	}
	return c.wait(d)
}

func (c *fakeCommand) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.stopped:
		return false
	}
}

// write counts the bytes, keeps those below the cap, and makes lines of them.
func (c *fakeCommand) write(stream exec.Stream, data []byte) {
	if stream == exec.Stderr {
		c.result.StderrBytes += int64(len(data))
	} else {
		c.result.StdoutBytes += int64(len(data))
	}
	if room := c.cmd.MaxOutput - c.kept; c.cmd.MaxOutput >= 0 && int64(len(data)) > room {
		data = data[:room]
		c.result.Truncated = true
	}
	c.kept += int64(len(data))
	text := append(c.pending[stream], data...)
	for {
		end := bytes.IndexByte(text, '\n')
		switch {
		case end > exec.MaxLine || end < 0 && len(text) > exec.MaxLine:
			c.add(stream, text[:exec.MaxLine], true)
			text = text[exec.MaxLine:]
			continue
		case end >= 0:
			c.add(stream, text[:end], false)
			text = text[end+1:]
			continue
		}
		break
	}
	c.pending[stream] = text
}

// flush gives the lines that have no newline yet.
func (c *fakeCommand) flush() {
	for _, stream := range []exec.Stream{exec.Stdout, exec.Stderr} {
		if text := c.pending[stream]; len(text) > 0 {
			c.add(stream, text, true)
			c.pending[stream] = nil
		}
	}
}

func (c *fakeCommand) add(stream exec.Stream, data []byte, partial bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, exec.Line{
		Seq:     uint64(len(c.lines)) + 1,
		Stream:  stream,
		Partial: partial,
		Time:    time.Now(),
		Data:    slices.Clone(data),
	})
	close(c.changed)
	c.changed = make(chan struct{})
}
