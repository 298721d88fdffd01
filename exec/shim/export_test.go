package shim

import (
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
func Forgets() (add func(id string), mayHave func(id string) bool) {
	f := new(forgotten)
	return f.add, f.mayHave
}

// ReadFrame decodes the frame that begins b with its lines, and returns its
// size.
func ReadFrame(b []byte) ([]exec.Line, int, error) {
	f, size, err := decodeFrame(b)
	if err != nil {
		return nil, 0, err
	}
	var lines []exec.Line
	for f.left > 0 {
		line, err := f.line()
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, line)
	}
	return lines, size, nil
}
