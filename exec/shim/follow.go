package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/orchard9/rdev/exec"
)

// batchLines is how many lines a sink is given at once at most.
const batchLines = 512

// A cursor reads a log from a line on, at its own pace. It is used by one
// goroutine.
type cursor struct {
	log     *outputLog
	next    uint64 // Seq of the next line
	buffers *bufferPool

	file  *os.File // the segment being read
	first uint64   // its first Seq
	pos   int64    // offset of what has not been read into buf

	buf        *[]byte
	start, end int   // bytes in buf that have not been decoded
	frame      frame // lines that have been decoded, up to the head
	lines      []exec.Line
}

// batch returns the lines that are there, at least one, or nil if there is
// none yet. They are valid until the next call.
func (c *cursor) batch() ([]exec.Line, error) {
	lines := c.lines[:0]
	for len(lines) < batchLines {
		if c.frame.left == 0 {
			// What lines refer to would be overwritten by another read.
			ok, err := c.advance(len(lines) == 0)
			if err != nil {
				return nil, fmt.Errorf("exec/shim: read log %s at line %d: %w", c.log.dir, c.next, err)
			}
			if !ok {
				break
			}
		}
		line, err := c.frame.line()
		if err != nil {
			return nil, fmt.Errorf("exec/shim: read log %s at line %d: %w", c.log.dir, c.next, err)
		}
		if line.Seq < c.next {
			continue
		}
		lines = append(lines, line)
		c.next++
	}
	if len(lines) == 0 {
		c.release()
		return nil, nil
	}
	c.lines = lines
	return lines, nil
}

// advance decodes the frame that holds line next. It reads the file only if
// mayRead is set.
func (c *cursor) advance(mayRead bool) (bool, error) {
	for {
		if c.start < c.end {
			size, first, count, err := frameSize((*c.buf)[c.start:c.end])
			switch {
			case err == nil && first+uint64(count) <= c.next:
				if c.end-c.start >= size {
					c.start += size
					continue
				}
				if mayRead { // skip what has not even been read
					c.pos += int64(size - (c.end - c.start))
					c.start, c.end = 0, 0
				}
			case err == nil && c.end-c.start >= size:
				f, _, err := decodeFrame((*c.buf)[c.start:c.end])
				if err != nil {
					return false, err
				}
				if f.next > c.next {
					return false, errFrameCorrupt
				}
				c.start += size
				c.frame = f
				return true, nil
			case err != nil && !errors.Is(err, errFrameShort):
				return false, err
			}
		}
		if !mayRead {
			return false, nil
		}
		if ok, err := c.fill(); !ok || err != nil {
			return false, err
		}
	}
}

// fill reads more of the segment that holds line next, of which at least one
// frame is there, or reports that the line is not there yet.
func (c *cursor) fill() (bool, error) {
	seg, _, ok := c.log.locate(c.next)
	if !ok {
		return false, nil
	}
	if c.file == nil || c.first != seg.first {
		c.close()
		file, err := os.Open(segmentPath(c.log.dir, seg.first))
		if err != nil {
			return false, err
		}
		c.file, c.first, c.pos = file, seg.first, 0
	}
	if c.buf == nil {
		c.buf = c.buffers.get()
	}
	c.end = copy(*c.buf, (*c.buf)[c.start:c.end])
	c.start = 0
	want := min(int64(len(*c.buf)-c.end), seg.size-c.pos)
	if want <= 0 {
		return false, errFrameCorrupt // the line is said to be in what was read
	}
	n, err := c.file.ReadAt((*c.buf)[c.end:c.end+int(want)], c.pos)
	c.end += n
	c.pos += int64(n)
	if int64(n) < want {
		if err == nil || errors.Is(err, io.EOF) {
			err = errFrameShort
		}
		return false, err
	}
	return true, nil
}

// release gives the buffer back while the cursor waits. All that was read has
// been decoded then: followers read up to the end of a frame.
func (c *cursor) release() {
	if c.buf != nil && c.start == c.end {
		c.buffers.put(c.buf)
		c.buf, c.start, c.end, c.frame, c.lines = nil, 0, 0, frame{}, nil
	}
}

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
	c.start, c.end, c.frame = 0, 0, frame{}
	if c.buf != nil {
		c.buffers.put(c.buf)
		c.buf = nil
	}
}

// follow gives sink the lines after the given one until the command has ended,
// and returns its outcome. The end of ctx and an error of sink act on the
// command as exec.Executor says.
func (c *command) follow(ctx context.Context, after uint64, sink func([]exec.Line) error) (exec.Result, error) {
	cur := &cursor{log: c.log, next: after + 1, buffers: c.engine.segmentBuffers}
	// Also when sink panics: the command is then left running, and the panic
	// goes on to the caller.
	defer cur.close()
	ended := ctx.Done()
	for {
		select {
		case <-ended:
			if errors.Is(context.Cause(ctx), exec.ErrDetached) {
				return exec.Result{}, exec.ErrDetached
			}
			c.cancel()
			ended = nil
		default:
		}
		// The order matters: what is done has no lines that come later.
		wake, _ := c.log.changed()
		done := c.isDone()
		lines, err := cur.batch()
		if err != nil {
			c.cancel()
			<-c.done
			return exec.Result{}, fmt.Errorf("%w: %w", exec.ErrLost, err)
		}
		if len(lines) > 0 {
			if err := sink(lines); err != nil {
				if !errors.Is(err, exec.ErrDetached) {
					c.cancel()
					<-c.done
				}
				return exec.Result{}, err
			}
			continue
		}
		if done {
			return c.outcome.result, c.outcome.err
		}
		select {
		case <-wake:
		case <-c.done:
		case <-ended:
		}
	}
}
