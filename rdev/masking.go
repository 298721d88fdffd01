package rdev

import (
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/internal/mask"
)

const (
	// maskPatience is how long a piece of a line is held whose end may be the
	// beginning of a secret.
	maskPatience = time.Second
	// Lines that wait behind such a piece at most.
	maskLines = 4096
	maskBytes = 1 << 20
	// maskRewind is how many lines an owner that takes a command over reads
	// again, to know in the middle of what it begins.
	maskRewind = 256
)

// masking stands between the lines of a command and its stream. It keeps their
// numbers: a line is held back, or has a part replaced, and never goes.
//
// The executor's lines come in one goroutine; a timer may publish what is held.
// Whoever publishes holds mu.
type masking struct {
	set *mask.Set

	mu     sync.Mutex
	stream *mask.Stream
	queue  []heldLine // in order; the first one is not settled
	bytes  int        // of the queue
	timer  *time.Timer
	// waitsFor is the number of the line that the timer was set for.
	waitsFor uint64
	over     bool
	err      error // of the timer's
}

type heldLine struct {
	line  exec.Line
	piece *mask.Piece
}

// begin is called before lines come.
func (m *masking) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stream, m.queue, m.bytes, m.waitsFor, m.over, m.err = mask.NewStream(m.set), nil, 0, 0, false, nil
}

// side is the stream of a line.
func side(l *exec.Line) int {
	if l.Stream == exec.Stderr {
		return 1
	}
	return 0
}

// take returns the lines that can be published: these, as far as nothing in them
// is secret and none is held. What it keeps, it copies.
func (m *masking) take(lines []exec.Line) []exec.Line {
	plain := 0
	if len(m.queue) == 0 {
		for plain < len(lines) && m.stream.Plain(side(&lines[plain]), lines[plain].Data, lines[plain].Partial) {
			plain++
		}
	}
	if plain == len(lines) {
		return lines
	}
	ready := slices.Clone(lines[:plain])
	for i := plain; i < len(lines); i++ {
		l := lines[i]
		if len(m.queue) == 0 && m.stream.Plain(side(&l), l.Data, l.Partial) {
			ready = append(ready, l)
			continue
		}
		l.Data = slices.Clone(l.Data)
		m.queue = append(m.queue, heldLine{l, m.stream.Add(side(&l), l.Data, l.Partial)})
		m.bytes += len(l.Data)
		if len(m.queue) >= maskLines || m.bytes >= maskBytes {
			m.stream.Force(true)
		}
		ready = m.settled(ready)
	}
	return ready
}

// settled appends what is settled at the beginning of the queue.
func (m *masking) settled(ready []exec.Line) []exec.Line {
	n := 0
	for n < len(m.queue) && m.queue[n].piece.Settled() {
		l := m.queue[n].line
		m.bytes -= len(l.Data)
		l.Data = m.queue[n].piece.Masked()
		ready = append(ready, l)
		n++
	}
	m.queue = slices.Delete(m.queue, 0, n)
	return ready
}

// publishLines is the executor's sink. It blocks while much waits for the broker
// already: lines wait where the command runs then, which goes on.
func (w *worker) publishLines(lines []exec.Line) error {
	m := &w.masking
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	w.watch.lines(lines)
	if err := w.publishMasked(m.take(lines)); err != nil {
		return err
	}
	if len(m.queue) > 0 && m.queue[0].line.Seq != m.waitsFor { // what waits already goes on waiting
		m.waitsFor = m.queue[0].line.Seq
		if m.timer != nil {
			m.timer.Stop()
		}
		m.timer = time.AfterFunc(maskPatience, w.publishHeld)
	}
	return nil
}

// publishMasked hands over lines that are not in the stream yet.
func (w *worker) publishMasked(lines []exec.Line) error {
	for len(lines) > 0 && lines[0].Seq <= w.sent {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return nil
	}
	if err := w.outbox.put(lines); err != nil {
		return err
	}
	w.sent = lines[len(lines)-1].Seq
	return nil
}

// publishHeld publishes what was held for long enough.
func (w *worker) publishHeld() {
	m := &w.masking
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over || m.err != nil || len(m.queue) == 0 {
		return
	}
	m.stream.Force(true)
	m.err = w.publishMasked(m.settled(nil))
}

// endLines is called when no line will come, and returns when all that came is
// published. With all, what is held is the end of the output; else it is left to
// the next owner.
func (w *worker) endLines(all bool) error {
	m := &w.masking
	m.mu.Lock()
	m.over = true
	if m.timer != nil {
		m.timer.Stop()
	}
	err := m.err
	if all && m.stream != nil && err == nil {
		m.stream.Force(false)
		err = w.publishMasked(m.settled(nil))
	}
	m.mu.Unlock()
	if lost := w.outbox.wait(); lost != nil {
		return lost
	}
	return err
}
