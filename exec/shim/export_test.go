package shim

import (
	"context"
	"math"
	"time"

	"github.com/orchard9/rdev/exec"
)

// BuildFrame makes a frame of lines without newlines.
func BuildFrame(first uint64, stream exec.Stream, at time.Time, lines ...string) []byte {
	var b frameBuilder
	for _, l := range lines {
		b.add([]byte(l), false)
	}
	return b.seal(first, stream, at)
}

// Forgets returns a forgotten, by its methods.
func Forgets() (add func(id string), mayHave, hasLate func(id string) bool) {
	f := new(forgotten)
	return f.add, f.mayHave, f.hasLate
}

// ReadFrame decodes the frame that begins b with its lines, and returns its
// size.
func ReadFrame(b []byte) ([]exec.Line, int, error) {
	f, size, err := decodeFrame(b)
	if err != nil {
		return nil, 0, err
	}
	lines, err := f.appendLines(nil, 0, math.MaxInt)
	return lines, size, err
}

// ExecuteOn is Engine.Execute of a new command whose log asks for space before
// each segment: a disk that stalls.
func ExecuteOn(e *Engine, workspace string, cmd exec.Command, space func() bool, sink func([]exec.Line) error) (exec.Result, error) {
	cmd = cmd.WithDefaults()
	c := newCommand(e, cmd, cmd.Digest(), workspace)
	c.env, c.log.space = e.options.Env, space
	if _, err := e.claim(c, cmd); err != nil {
		return exec.Result{}, err
	}
	defer e.detach(c)
	c.start(cmd)
	return c.follow(context.Background(), 0, sink)
}

// ForgetAfter sets for how long at least ended commands are remembered where
// there are too many.
func ForgetAfter(o Options, d time.Duration) *Options {
	o.keepRecord = d
	return &o
}
