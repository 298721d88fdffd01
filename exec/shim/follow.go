package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
)

// batchLines is how many lines a sink is given at once at most.
const batchLines = 2048

// A readBuffer holds a part of a segment and the lines that were found in it.
type readBuffer struct {
	data  []byte
	lines []exec.Line // made by the first batch: frames are passed on without
}

func newReadBuffer() *readBuffer { return &readBuffer{data: make([]byte, 256<<10)} }

// A cursor reads a log from a line on, at its own pace. It is used by one
// goroutine.
type cursor struct {
	log     *outputLog
	next    uint64 // Seq of the next line
	buffers *bufferPool[readBuffer]

	file  *os.File // the segment being read
	first uint64   // its first Seq
	pos   int64    // offset of what has not been read into buf

	buf        *readBuffer // nil while the cursor waits
	start, end int         // bytes in buf that have not been decoded
	frame      frame       // what is left of the frame that was decoded last
}

// batch returns the lines that are there, at least one, or nil if there is
// none yet. They are valid until the next call.
func (c *cursor) batch() ([]exec.Line, error) {
	var lines []exec.Line
	for len(lines) < batchLines {
		if c.frame.left == 0 {
			// What lines refer to would be overwritten by another read.
			ok, err := c.advance(len(lines) == 0)
			if err != nil && len(lines) == 0 {
				return nil, fmt.Errorf("exec/shim: read log %s at line %d: %w", c.log.dir, c.next, err)
			}
			if err != nil || !ok {
				break // the next call meets the error again
			}
		}
		if len(lines) == 0 { // no sooner: advance may have changed the buffer
			if c.buf.lines == nil {
				c.buf.lines = make([]exec.Line, 0, batchLines)
			}
			lines = c.buf.lines[:0]
		}
		known := len(lines)
		var err error
		lines, err = c.frame.appendLines(lines, c.next, batchLines)
		c.next += uint64(len(lines) - known)
		if err != nil && len(lines) == 0 {
			return nil, fmt.Errorf("exec/shim: read log %s at line %d: %w", c.log.dir, c.next, err)
		}
		if err != nil {
			break
		}
	}
	if len(lines) == 0 {
		c.release()
		return nil, nil
	}
	return lines, nil
}

// advance decodes the frame that holds line next. It reads the file only if
// mayRead is set.
func (c *cursor) advance(mayRead bool) (bool, error) {
	for {
		if c.start < c.end {
			size, first, count, err := frameSize(c.buf.data[c.start:c.end])
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
				f, _, err := decodeFrame(c.buf.data[c.start:c.end])
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
	seg, ok := c.log.locate(c.next)
	if !ok {
		return false, nil
	}
	if c.first != seg.first {
		c.close()
		c.first, c.pos = seg.first, 0
	}
	if c.buf == nil {
		c.buf = c.buffers.get()
	}
	c.end = copy(c.buf.data, c.buf.data[c.start:c.end])
	c.start = 0
	want := min(int64(len(c.buf.data)-c.end), seg.size-c.pos)
	if want <= 0 {
		return false, errFrameCorrupt // the line is said to be in what was read
	}
	n, err := c.read(c.buf.data[c.end : c.end+int(want)])
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

// read reads the segment at pos.
func (c *cursor) read(buf []byte) (n int, err error) {
	if n := c.log.readRecent(buf, c.first, c.pos); n == len(buf) {
		return n, nil
	}
	if c.file == nil {
		if c.file, err = os.Open(segmentPath(c.log.dir, c.first)); err != nil {
			c.file = nil
			return 0, err
		}
	}
	return c.file.ReadAt(buf, c.pos)
}

// frames returns whole frames as they stand in the log, the first of which
// holds line next, or nil if it is not there yet. They are about as long as
// limit, and at most maxPayload, and valid until the next call.
func (c *cursor) frames(limit int) ([]byte, error) {
	begin, end := -1, 0
	for begin < 0 || end-begin < limit {
		// To read more would overwrite what is to be returned.
		ok, err := c.advance(begin < 0)
		if err != nil && begin < 0 {
			return nil, fmt.Errorf("exec/shim: read log %s at line %d: %w", c.log.dir, c.next, err)
		}
		if err != nil || !ok {
			break // the next call meets the error again
		}
		size := frameHead + len(c.frame.body) + frameTail
		if begin >= 0 && c.start-begin > maxPayload {
			c.start -= size
			c.frame = frame{}
			break
		}
		if begin < 0 {
			begin = c.start - size
		}
		end = c.start
		c.next = c.frame.next + uint64(c.frame.left)
		c.frame = frame{}
	}
	if begin < 0 {
		c.release()
		return nil, nil
	}
	return c.buf.data[begin:end], nil
}

// park gives the buffer back though not all in it has been decoded: that is
// read again.
func (c *cursor) park() {
	c.pos -= int64(c.end - c.start)
	c.release()
}

// release gives the buffer back while the cursor waits. All that was read has
// been decoded then: followers read up to the end of a frame.
func (c *cursor) release() {
	if c.buf != nil {
		c.buffers.put(c.buf)
		c.buf, c.start, c.end, c.frame = nil, 0, 0, frame{}
	}
}

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
	c.release()
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
		done := c.isDone()
		wake, last := c.log.changed()
		lines, err := cur.batch()
		if err == nil && lines == nil && done && cur.next <= last {
			err = fmt.Errorf("exec/shim: read log %s at line %d: %w", c.folder, cur.next, fs.ErrNotExist)
		}
		if isShortage(err) {
			pause := time.NewTimer(shortagePause)
			select {
			case <-pause.C:
			case <-ended:
			}
			pause.Stop()
			continue
		}
		if err != nil {
			// A part of the output is gone, which no Result could say.
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
			c.told.Store(true)
			return c.outcome.result, c.outcome.err
		}
		select {
		case <-wake:
		case <-c.done:
		case <-ended:
		}
	}
}

// shortagePause is how long a follower waits for what the machine is short of.
const shortagePause = 50 * time.Millisecond

// isShortage reports an error that goes away when others have closed files.
func isShortage(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}
