package shim

import (
	"bytes"
	"os"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
)

// TestFinish: when a command's processes are dead, its output is what its pipes
// hold then, whoever else has them.
func TestFinish(t *testing.T) {
	start := func(is *is.I) (*outputReader, *os.File) {
		in, out, err := os.Pipe()
		is.NoErr(err)
		widenPipe(in)
		r := &outputReader{
			stream:  exec.Stdout,
			file:    in,
			log:     newLog(t.TempDir(), -1, func() bool { return true }),
			buffers: newBufferPool(func() *pipeBuffer { return new(pipeBuffer) }),
		}
		t.Cleanup(func() {
			in.Close()
			out.Close()
			r.log.close()
		})
		return r, out
	}

	t.Run("AReaderThatWaitsReturns", func(t *testing.T) {
		is := is.New(t)
		for range 20 {
			r, out := start(is)
			var work sync.WaitGroup
			work.Go(r.run)
			_, err := out.WriteString("one\ntail")
			is.NoErr(err)
			r.finish()
			work.Wait()
			is.Equal(r.total, int64(8))
			is.Equal(r.log.last, uint64(2))
			is.True(!r.log.dropped)
		}
	})

	t.Run("WhatIsLeftIsSaid", func(t *testing.T) {
		is := is.New(t)
		r, out := start(is)
		text := bytes.Repeat([]byte("0123456789abcde\n"), len(pipeBuffer{})/16+100)
		n, err := out.Write(text)
		is.NoErr(err)
		conn, err := r.file.SyscallConn()
		is.NoErr(err)
		r.drain(conn, 1)
		is.True(r.log.dropped)
		is.True(r.total < int64(n))
		r.log.dropped = false
		r.drain(conn, n)
		is.Equal(r.total, int64(n))
		is.True(!r.log.dropped)
		r.drain(conn, n)
		is.True(!r.log.dropped) // nobody wrote any more
	})
}
