package exectest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/orchard9/rdev/exec"
)

// A record is what a sink was given. It checks on the way what holds for every
// sink: batches are not empty, one call at a time, none after Execute has
// returned, numbers without holes, and well-formed lines.
type record struct {
	mu     sync.Mutex
	given  []exec.Line
	last   uint64
	inside int
	over   bool
	faults []string
}

func newRecord(after uint64) *record { return &record{last: after} }

// take is the sink. It copies, since the lines are valid during the call only,
// and then calls next outside the lock.
func (r *record) take(lines []exec.Line, next func([]exec.Line) error) error {
	r.mu.Lock()
	r.inside++
	if r.inside > 1 {
		r.fault("sink was called while it ran")
	}
	if r.over {
		r.fault("sink was called after Execute had returned")
	}
	if len(lines) == 0 {
		r.fault("sink was called with no lines")
	}
	for _, line := range lines {
		r.check(line)
		line.Data = slices.Clone(line.Data)
		r.given = append(r.given, line)
		r.last = line.Seq
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.inside--
		r.mu.Unlock()
	}()
	if next != nil {
		return next(lines)
	}
	return nil
}

func (r *record) check(line exec.Line) {
	switch {
	case line.Seq != r.last+1:
		r.fault("line %d came after line %d", line.Seq, r.last)
	case line.Stream != exec.Stdout && line.Stream != exec.Stderr:
		r.fault("line %d has the stream %d", line.Seq, line.Stream)
	case len(line.Data) > exec.MaxLine:
		r.fault("line %d has %d bytes, more than MaxLine", line.Seq, len(line.Data))
	case bytes.IndexByte(line.Data, '\n') >= 0:
		r.fault("line %d holds a newline", line.Seq)
	case line.Partial && len(line.Data) == 0:
		r.fault("line %d is Partial and empty", line.Seq)
	case line.Time.IsZero():
		r.fault("line %d has no time", line.Seq)
	}
}

// fault is called with the lock held.
func (r *record) fault(format string, args ...any) {
	if len(r.faults) < 5 {
		r.faults = append(r.faults, fmt.Sprintf(format, args...))
	}
}

// returned says that Execute has.
func (r *record) returned() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.inside > 0 {
		r.fault("Execute returned while sink ran")
	}
}

func (r *record) problems() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.faults)
}

func (r *record) lines() []exec.Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.given)
}

// text returns the bytes of a stream.
func (r *record) text(stream exec.Stream) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	for _, line := range r.given {
		if line.Stream == stream {
			b.Write(line.Data)
			if !line.Partial {
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

// sameLines reports how two readings of the same command differ, or "".
func sameLines(got, want []exec.Line) string {
	if len(got) != len(want) {
		return fmt.Sprintf("got %d lines, want %d: %s and %s", len(got), len(want), summary(got), summary(want))
	}
	for i := range got {
		a, b := got[i], want[i]
		if a.Seq != b.Seq || a.Stream != b.Stream || a.Partial != b.Partial || !bytes.Equal(a.Data, b.Data) || !a.Time.Equal(b.Time) {
			return fmt.Sprintf("got %s, want %s", describe(a), describe(b))
		}
	}
	return ""
}

// summary describes lines for a message.
func summary(lines []exec.Line) string {
	if len(lines) == 0 {
		return "no lines"
	}
	text := ""
	for _, line := range lines[:min(len(lines), 5)] {
		text += describe(line) + " "
	}
	if len(lines) > 5 {
		text += fmt.Sprintf("… %s", describe(lines[len(lines)-1]))
	}
	return text
}

func describe(line exec.Line) string {
	partial := ""
	if line.Partial {
		partial = " partial"
	}
	return fmt.Sprintf("[%d %v%s %.60q %s]", line.Seq, line.Stream, partial, line.Data, line.Time.Format("05.000000"))
}
