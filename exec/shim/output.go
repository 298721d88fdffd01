package shim

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
)

const (
	// flushAfter is how long an unterminated line waits for its end.
	flushAfter = 100 * time.Millisecond
	// readSize is the least that one read of a pipe has room for. The rest of
	// the buffer holds a line that has not ended yet.
	readSize = 128 << 10
	// lastRound is more than a pipe holds, unless its command has made it larger
	// than an unprivileged one may.
	lastRound = 1 << 20
)

type pipeBuffer [readSize + exec.MaxLine + 1]byte

// outputReader reads one output of a command, splits it into lines and
// appends them to the log.
type outputReader struct {
	stream  exec.Stream
	file    *os.File
	log     *outputLog
	buffers *bufferPool[pipeBuffer]

	buf     *pipeBuffer // nil while there is nothing to hold
	end     int         // bytes in buf: the unterminated line
	scanned int         // so many of them hold no newline
	total   int64       // bytes that the command wrote
	over    atomic.Bool // nobody is left whose output counts
}

// finish makes run return with what the pipe holds. It does not wait for that:
// the disk may be behind.
func (r *outputReader) finish() {
	r.over.Store(true)
	_ = r.file.SetReadDeadline(time.Unix(1, 0)) // ends a wait; after over is set
}

// run reads until the last writer has closed its end, or finish was called.
func (r *outputReader) run() {
	defer r.release()
	conn, err := r.file.SyscallConn()
	if err != nil {
		return
	}
	deadline := false
	for {
		if r.end > 0 || deadline {
			var at time.Time
			if deadline = r.end > 0; deadline {
				at = time.Now().Add(flushAfter)
			}
			_ = r.file.SetReadDeadline(at)
		}
		if r.over.Load() { // asked after the deadline was set
			r.drain(conn, lastRound)
			return
		}
		n, err := 0, error(nil)
		waitErr := conn.Read(func(fd uintptr) bool {
			n, err = r.read(int(fd))
			return !errors.Is(err, unix.EAGAIN)
		})
		switch {
		case errors.Is(waitErr, os.ErrDeadlineExceeded):
			if !r.over.Load() {
				r.flush()
			}
		case waitErr != nil, err != nil:
			r.flush()
			return
		default:
			r.take(n)
		}
	}
}

// drain takes what the pipe holds, but not for ever what a stranger who was given
// it goes on writing: it stops at limit bytes, or soon after.
func (r *outputReader) drain(conn syscall.RawConn, limit int) {
	defer r.flush()
	for limit > 0 {
		n, err := 0, error(nil)
		if conn.Control(func(fd uintptr) { n, err = r.read(int(fd)) }) != nil || err != nil {
			return // it is empty
		}
		r.take(n)
		limit -= n
	}
	_ = conn.Control(func(fd uintptr) {
		if n, _ := unix.Read(int(fd), make([]byte, 1)); n > 0 {
			r.total++
			r.log.drop()
		}
	})
}

// read takes a buffer only when there may be something to put into it, so that
// a command that says nothing costs no memory for its silence.
func (r *outputReader) read(fd int) (int, error) {
	if r.buf == nil {
		r.buf = r.buffers.get()
	}
	for {
		n, err := unix.Read(fd, r.buf[r.end:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && n == 0:
			err = io.EOF
		case err != nil && r.end == 0:
			r.release()
		}
		return max(n, 0), err
	}
}

func (r *outputReader) release() {
	if r.buf != nil {
		r.buffers.put(r.buf)
		r.buf = nil
	}
}

// take appends the lines that the n bytes just read complete.
func (r *outputReader) take(n int) {
	r.total += int64(n)
	now := time.Now()
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	kept := r.log.admit(n)
	data := r.buf[:r.end+kept]
	pos, scan := 0, r.scanned
	for {
		i := bytes.IndexByte(data[scan:], '\n')
		end := scan + i
		if i < 0 {
			end = len(data)
		}
		for end-pos > exec.MaxLine {
			r.log.add(r.stream, now, data[pos:pos+exec.MaxLine], true)
			pos += exec.MaxLine
		}
		if i < 0 {
			break
		}
		r.log.add(r.stream, now, data[pos:end], false)
		pos, scan = end+1, end+1
	}
	r.end = copy(r.buf[:], data[pos:])
	r.scanned = r.end
	if kept < n && r.end > 0 {
		// What comes is thrown away: this line has no end any more.
		r.log.add(r.stream, now, r.buf[:r.end], true)
		r.end, r.scanned = 0, 0
	}
	r.log.commit(r.stream, now)
}

// flush appends the unterminated line as it is.
func (r *outputReader) flush() {
	if r.end == 0 {
		return
	}
	now := time.Now()
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.add(r.stream, now, r.buf[:r.end], true)
	r.end, r.scanned = 0, 0
	r.log.commit(r.stream, now)
}
