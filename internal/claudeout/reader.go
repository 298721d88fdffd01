// Package claudeout reads what claude prints with --output-format stream-json,
// as far as the core needs it: the result event, which says how a run ended and
// what it used. The output is a stranger's: lines may be of any length and hold
// anything, and the memory for them is bounded.
package claudeout

// A Reader finds the last result in an output. The zero Reader is ready; it is
// for one goroutine.
type Reader struct {
	line   scanner
	within bool // a line has begun
	skip   bool // the rest of the line is of no interest
	last   Result
	seen   bool
}

// Skip says that the next piece may begin in the middle of a line: what belongs
// to that line is not read.
func (r *Reader) Skip() {
	r.line.reset()
	r.within, r.skip = true, true
}

// Add takes the next piece of the output; more says that the line goes on in
// the next one.
func (r *Reader) Add(data []byte, more bool) {
	if !r.within {
		r.line.reset()
		r.within, r.skip = true, false
	}
	if !r.skip {
		r.skip = !r.line.scan(data)
	}
	if !more {
		r.End()
	}
}

// End ends the line, also one without a newline at the end of the output.
func (r *Reader) End() {
	if r.within && !r.skip {
		if result, ok := r.line.result(); ok {
			r.last, r.seen = result, true
		}
	}
	r.within = false
}

// Result returns the last result, if there was one.
func (r *Reader) Result() (Result, bool) { return r.last, r.seen }
