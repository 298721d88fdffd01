package mask

import (
	"encoding/json"
	"io"
)

// NewWriter returns a Writer for a log whose every Write is a whole line, of
// text or of JSON. What Write returns is for the line that it was given. Without
// a Set it looks for the shapes.
func NewWriter(w io.Writer, s *Set) io.Writer {
	if s == nil {
		s = New()
	}
	var quoted []string
	for _, value := range s.all {
		if b, err := json.Marshal(value); err == nil && string(b[1:len(b)-1]) != value {
			quoted = append(quoted, string(b[1:len(b)-1]))
		}
	}
	return &writer{w, s.With(quoted...)}
}

type writer struct {
	to  io.Writer
	set *Set
}

// Write implements io.Writer.
func (w *writer) Write(line []byte) (int, error) {
	masked := w.set.Bytes(line)
	n, err := w.to.Write(masked)
	if err == nil || n > len(line) {
		n = len(line)
	}
	return n, err
}
