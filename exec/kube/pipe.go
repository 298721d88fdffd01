package kube

import (
	"io"
	"sync"
)

// pipeSize is how many bytes a pipe holds before its writer waits.
const pipeSize = 256 << 10

// A pipe is an io.Pipe that holds some bytes: the goroutine that takes output
// from a connection goes on while another works on it, so that bulk does not
// cost two switches between them for each piece. One goroutine writes and one
// reads.
type pipe struct {
	mu     sync.Mutex
	change sync.Cond
	buf    []byte // what was written
	start  int    // and read of that
	err    error  // for the reader, after all that is in buf
	closed bool   // by the reader
}

func newPipe() *pipe {
	p := &pipe{}
	p.change.L = &p.mu
	return p
}

// Write waits while the pipe is full. It takes a piece of any size as a whole.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) >= pipeSize && !p.closed && p.err == nil {
		p.change.Wait()
	}
	if p.closed || p.err != nil {
		return 0, io.ErrClosedPipe
	}
	if len(p.buf) == 0 {
		p.change.Signal()
	}
	p.buf = append(p.buf, b...)
	return len(b), nil
}

// Read returns what is there, and waits until that is something.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && p.err == nil && !p.closed {
		p.change.Wait()
	}
	switch {
	case p.closed:
		return 0, io.ErrClosedPipe
	case len(p.buf) == 0:
		return 0, p.err
	}
	n := copy(b, p.buf[p.start:])
	if p.start += n; p.start == len(p.buf) {
		if len(p.buf) >= pipeSize {
			p.change.Signal()
		}
		p.buf, p.start = p.buf[:0], 0
	}
	return n, nil
}

// end is the writer's: the reader gets err after the rest.
func (p *pipe) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.change.Broadcast()
}

// close is the reader's: what was not read is gone.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.buf, p.start = true, nil, 0
	p.change.Broadcast()
}
