package faultproxy_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/orchard9/rdev/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// talker sends size bytes to everyone who connects.
func talker(t *testing.T, size int) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write(make([]byte, size))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

func read(t *testing.T, addr string, patience time.Duration) (int, error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err // cut before Dial had returned
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(conn)
	return len(b), err
}

func TestProxy(t *testing.T) {
	const size = 100_000
	target := talker(t, size)
	for _, tt := range []struct {
		name  string
		fault faultproxy.Fault
		want  func(is *is.I, n int, err error)
	}{
		{"ForwardsAll", faultproxy.Fault{}, func(is *is.I, n int, err error) {
			is.NoErr(err)
			is.Equal(n, size)
		}},
		{"CutsWithAReset", faultproxy.Fault{CutAfter: 1000}, func(is *is.I, n int, err error) {
			is.True(err != nil) // not a clean end
			is.True(n <= 1000)
		}},
		{"Stalls", faultproxy.Fault{StallAfter: 1000}, func(is *is.I, n int, err error) {
			nerr, ok := err.(net.Error) //nolint:errorlint // as net returns it
			is.True(ok && nerr.Timeout())
			is.Equal(n, 1000)
		}},
		{"Slows", faultproxy.Fault{Rate: 10_000}, func(is *is.I, n int, err error) {
			is.True(n < size)
		}},
		{"Refuses", faultproxy.Fault{Refuse: true}, func(is *is.I, n int, _ error) {
			is.Equal(n, 0)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			p := faultproxy.New(t, target, func(int) faultproxy.Fault { return tt.fault })
			n, err := read(t, p.Addr(), 500*time.Millisecond)
			tt.want(is, n, err)
		})
	}
	t.Run("CutAllCutsWhatIsOpen", func(t *testing.T) {
		is := is.New(t)
		p := faultproxy.New(t, target, func(int) faultproxy.Fault { return faultproxy.Fault{StallAfter: 10} })
		conn, err := net.Dial("tcp", p.Addr())
		is.NoErr(err)
		defer conn.Close()
		_, err = io.ReadFull(conn, make([]byte, 10))
		is.NoErr(err)
		p.CutAll()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, err = conn.Read(make([]byte, 1))
		is.True(err != nil)
		is.Equal(p.Cuts(), 1)
	})
}
