package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/server"
)

// piped is the server's end of a connection without any buffer: a reader that
// takes nothing stops the writer at once. It counts what is written.
type piped struct {
	net.Conn
	writes int
	bytes  int
}

func (p *piped) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	p.writes++
	p.bytes += n
	return n, err
}

// oneConn is a listener of one connection.
type oneConn struct{ conns chan net.Conn }

func (o oneConn) Accept() (net.Conn, error) {
	conn, open := <-o.conns
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (o oneConn) Close() error   { return nil }
func (o oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// eachSender runs the test with either sender, in a bubble. send is what the
// server does with the sender; reader is the other end, of which the header was
// read.
func eachSender(t *testing.T, timeout time.Duration, send func(t *testing.T, s server.Sender, conn *piped), read func(t *testing.T, conn net.Conn, body *http.Response)) {
	t.Run("OnAConnection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			reader, end := net.Pipe()
			conn := &piped{Conn: end}
			over := make(chan struct{})
			go func() {
				defer close(over)
				defer end.Close()
				_, _ = io.WriteString(end, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
				send(t, server.SenderOn(conn, timeout), conn)
			}()
			readAnswer(t, reader, read)
			<-over
		})
	})
	t.Run("OnAResponse", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			reader, end := net.Pipe()
			conn := &piped{Conn: end}
			listener := oneConn{make(chan net.Conn, 1)}
			listener.conns <- conn
			over := make(chan struct{})
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				defer close(over)
				s, err := server.SenderOf(w, timeout)
				if err != nil {
					t.Error(err)
					return
				}
				w.WriteHeader(http.StatusOK)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				send(t, s, conn)
			})}
			done := make(chan struct{})
			go func() { defer close(done); _ = srv.Serve(listener) }()
			_, _ = io.WriteString(reader, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			readAnswer(t, reader, read)
			<-over
			close(listener.conns)
			_ = srv.Close()
			<-done
		})
	})
}

// readAnswer reads the header, byte by byte as far as the connection is concerned.
func readAnswer(t *testing.T, conn net.Conn, read func(*testing.T, net.Conn, *http.Response)) {
	defer conn.Close()
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	if err != nil {
		t.Error(err)
		return
	}
	read(t, conn, resp)
}

// bytesOf are n bytes, no two neighbouring KiB of which are the same.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>10) ^ byte(i)
	}
	return b
}

// TestAReaderThatIsSlowIsNotCut: one that takes bytes all the time gets past an
// event that it needs many times the timeout for.
func TestAReaderThatIsSlowIsNotCut(t *testing.T) {
	const timeout = time.Second
	for name, size := range map[string]int{"480 KiB": 480 << 10, "a piece": 64 << 10, "one more": 64<<10 + 1, "a byte": 1} {
		t.Run(name, func(t *testing.T) {
			sent := bytesOf(size)
			eachSender(t, timeout, func(t *testing.T, s server.Sender, _ *piped) {
				if err := s.Send(sent); err != nil {
					t.Error(err)
				}
				if err := s.Send([]byte("end")); err != nil {
					t.Error(err)
				}
			}, func(t *testing.T, _ net.Conn, resp *http.Response) {
				got := make([]byte, size+3)
				began := time.Now()
				for n := 0; n < len(got); {
					m, err := resp.Body.Read(got[n:min(n+4<<10, len(got))])
					if n += m; err != nil {
						t.Errorf("cut after %v and %d bytes: %v", time.Since(began), n, err)
						return
					}
					time.Sleep(timeout / 20) // up to 80 KiB in the timeout
				}
				if !bytes.Equal(got, append(bytes.Clone(sent), "end"...)) {
					t.Error("what came is not what was sent")
				}
			})
		})
	}
}

// TestAReaderThatStopsIsCut, and in time, also after it has taken half of it.
func TestAReaderThatStopsIsCut(t *testing.T) {
	const timeout = time.Second
	for name, taken := range map[string]int{"at once": 0, "in the middle": 240 << 10} {
		t.Run(name, func(t *testing.T) {
			eachSender(t, timeout, func(t *testing.T, s server.Sender, conn *piped) {
				is := is.New(t)
				began := time.Now()
				err := s.Send(bytesOf(480 << 10))
				is.True(errors.Is(err, os.ErrDeadlineExceeded))
				is.Equal(time.Since(began), timeout)
			}, func(t *testing.T, _ net.Conn, resp *http.Response) {
				_, _ = io.CopyN(io.Discard, resp.Body, int64(taken))
				time.Sleep(10 * timeout)
			})
		})
	}
}

// TestAHurriedReaderHasNoTimeForEachPiece: it cannot go on reading for long what
// is being sent, however steadily it does.
func TestAHurriedReaderHasNoTimeForEachPiece(t *testing.T) {
	eachSender(t, time.Hour, func(t *testing.T, s server.Sender, _ *piped) {
		go func() {
			time.Sleep(time.Second)
			s.Hurry()
		}()
		is := is.New(t)
		began := time.Now()
		err := s.Send(bytesOf(4 << 20))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.True(time.Since(began) < 2*time.Second)
	}, func(_ *testing.T, _ net.Conn, resp *http.Response) {
		b := make([]byte, 8<<10)
		for {
			if _, err := resp.Body.Read(b); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond) // a piece in 400 ms
		}
	})
}

// TestWhatFitsIsWrittenAtOnce: nearly everything, in one system call.
func TestWhatFitsIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		reader, end := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, reader) }()
		conn := &piped{Conn: end}
		s := server.SenderOn(conn, time.Second)
		is.NoErr(s.Send(bytesOf(60 << 10)))
		is.Equal(conn.writes, 1)
		is.NoErr(s.Send(bytesOf(180 << 10)))
		is.Equal(conn.writes, 1+3)
		is.NoErr(end.Close())
	})
}
