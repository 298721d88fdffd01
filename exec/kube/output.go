package kube

import (
	"bytes"
	"time"

	"github.com/orchard9/rdev/exec"
)

// promptPause is how long a line without newline is held back.
const promptPause = 100 * time.Millisecond

// output turns the bytes of a command's two streams into its lines. Its methods
// are called with the command's lock held.
type output struct {
	spool     spool
	limit     int64 // of bytes kept; negative: none
	kept      int64
	bytes     [3]int64  // by exec.Stream
	tail      [3][]byte // of a line whose newline has not come
	truncated bool
}

// take takes bytes of a stream.
func (o *output) take(stream exec.Stream, b []byte) {
	o.bytes[stream] += int64(len(b))
	if o.limit >= 0 && int64(len(b)) > o.limit-o.kept {
		b = b[:o.limit-o.kept]
		o.truncated = true
	}
	o.kept += int64(len(b))
	now := time.Now()
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		rest := b
		if i >= 0 {
			rest = b[:i]
		}
		rest = o.fill(stream, rest, now)
		if i < 0 {
			o.tail[stream] = append(o.tail[stream], rest...)
			return
		}
		if tail := o.tail[stream]; len(tail) > 0 {
			o.add(stream, false, now, append(tail, rest...))
			o.tail[stream] = tail[:0]
		} else {
			o.add(stream, false, now, rest)
		}
		b = b[i+1:]
	}
}

// fill gives out whole pieces of a long line, and returns what is left: with
// the tail at most MaxLine.
func (o *output) fill(stream exec.Stream, b []byte, now time.Time) []byte {
	for len(o.tail[stream])+len(b) > exec.MaxLine {
		n := exec.MaxLine - len(o.tail[stream])
		o.add(stream, true, now, append(o.tail[stream], b[:n]...))
		o.tail[stream] = o.tail[stream][:0]
		b = b[n:]
	}
	return b
}

// flush gives out lines whose newline has not come.
func (o *output) flush() {
	for _, stream := range []exec.Stream{exec.Stdout, exec.Stderr} {
		if len(o.tail[stream]) > 0 {
			o.add(stream, true, time.Now(), o.tail[stream])
			o.tail[stream] = o.tail[stream][:0]
		}
	}
}

func (o *output) hasTail() bool { return len(o.tail[exec.Stdout])+len(o.tail[exec.Stderr]) > 0 }

// add keeps a line. Where that fails (a full disk), it is counted and thrown
// away like output past the limit.
func (o *output) add(stream exec.Stream, partial bool, at time.Time, data []byte) {
	if o.spool.add(stream, partial, at, data) != nil {
		o.truncated = true
	}
}
