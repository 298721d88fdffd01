package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
)

// TestSlowRequests: clients that send a header or a body bit by bit are cut when
// their time is over, however steadily they send, and keep nobody else waiting.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	const each = 100
	for name, c := range map[string]struct {
		head string
		bit  string
		most time.Duration // the deadline, and more for a machine that is busy
		want string
	}{
		"Header": {"GET /projects HTTP/1.1\r\nHost: x\r\n", "X-A: b\r\n", 5*time.Second + 20*time.Second, ""},
		"Body": {"POST /keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + adminKey + "\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{",
			" ", 30*time.Second + 30*time.Second, "HTTP/1.1 400 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			st := newStand(t, nil)
			began := time.Now()
			var slow sync.WaitGroup
			for range each {
				slow.Go(func() {
					if err := sendSlowly(st.addr, c.head, c.bit, c.most, c.want); err != nil {
						t.Error(err)
					}
				})
			}
			// Others are served all the while.
			served := 0
			for done := make(chan struct{}); ; served++ {
				if served == 0 {
					go func() { slow.Wait(); close(done) }()
				}
				select {
				case <-done:
				default:
					is.Equal(st.do("GET", "/projects", "").status, http.StatusOK)
					time.Sleep(10 * time.Millisecond)
					continue
				}
				break
			}
			is.True(served > 10)
			is.True(time.Since(began) >= 4*time.Second) // it was the deadline that cut them
		})
	}
}

// sendSlowly sends a bit each 100 ms until the server hangs up, and returns an
// error if that is later than most or its answer does not begin with want.
func sendSlowly(addr, head, bit string, most time.Duration, want string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	ended := make(chan string, 1)
	go func() {
		_ = conn.SetReadDeadline(time.Now().Add(most))
		line, err := bufio.NewReader(conn).ReadString('\n')
		if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as net returns it
			line = "it was let go on"
		}
		ended <- line
	}()
	for {
		select {
		case line := <-ended:
			if !strings.HasPrefix(line, want) || line == "it was let go on" {
				return fmt.Errorf("after %v: %q, want %q", most, line, want)
			}
			return nil
		case <-time.After(100 * time.Millisecond):
			_, _ = io.WriteString(conn, bit) // fails once it is cut
		}
	}
}
