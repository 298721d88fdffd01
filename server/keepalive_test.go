package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
)

// A plainConn speaks HTTP/1.1 over one connection.
type plainConn struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (st *stand) plain(t testing.TB) *plainConn {
	t.Helper()
	conn, err := net.Dial("tcp", st.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &plainConn{t: t, Conn: conn, r: bufio.NewReader(conn)}
}

// start is a request for a stream that ends.
func start(headers string) string { return startOf("both", headers) }

func startOf(program, headers string) string {
	body := fmt.Sprintf(`{"argv":[%q]}`, program)
	return fmt.Sprintf("POST /projects/web/shell HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", adminKey, len(body), headers, body)
}

func (c *plainConn) send(request string) {
	c.t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads a response to its end.
func (c *plainConn) answer() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}

// expectEnd reads the end of the connection, and nothing before.
func (c *plainConn) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Fatalf("%q, %v", rest, err)
	}
}

// TestAConnectionOutlivesItsStream: as with any other response.
func TestAConnectionOutlivesItsStream(t *testing.T) {
	st := newStand(t, nil)

	t.Run("StreamsAndOthersInTurn", func(t *testing.T) {
		is := is.New(t)
		c := st.plain(t)
		for range 20 {
			c.send(start(""))
			resp, body := c.answer()
			is.Equal(resp.StatusCode, http.StatusCreated)
			is.True(!resp.Close)
			is.True(strings.Contains(body, "event: complete"))
			c.send("GET " + resp.Header.Get("Location") + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + adminKey + "\r\n\r\n")
			resp, body = c.answer()
			is.Equal(resp.StatusCode, http.StatusOK)
			is.True(strings.Contains(body, "succeeded"))
		}
	})

	for name, request := range map[string]string{
		"WhoWantsItClosed":            start("Connection: close\r\n"),
		"WhoSaysMoreAtOnceIsNotHeard": start("") + start(""),
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			c := st.plain(t)
			c.send(request)
			resp, body := c.answer()
			is.True(resp.Close)
			is.True(strings.Contains(body, "event: complete"))
			c.expectEnd()
		})
	}

	t.Run("WhoSpeaksMeanwhileIsNotHeard", func(t *testing.T) {
		is := is.New(t)
		c := st.plain(t)
		c.send(startOf("sleep", ""))
		resp, err := http.ReadResponse(c.r, nil)
		is.NoErr(err)
		c.send(start("Connection: close\r\n"))
		time.Sleep(50 * time.Millisecond) // so that it is read, unless the machine is very busy
		is.True(st.in(t).do("POST", resp.Header.Get("Location")+"/cancel", "").status < 300)
		events, err := io.ReadAll(resp.Body)
		is.NoErr(err)
		is.True(strings.Contains(string(events), "event: complete"))
		rest, err := io.ReadAll(c.r)
		is.NoErr(err)
		is.True(len(rest) == 0 || strings.HasPrefix(string(rest), "HTTP/1.1 201"))
	})

	t.Run("OnesThatHangUpBetween", func(t *testing.T) {
		is := is.New(t)
		c := st.plain(t)
		c.send(start(""))
		c.answer()
		is.NoErr(c.Close()) // goleak finds who would wait for it
	})

	t.Run("ManyAtOnce", func(t *testing.T) {
		is := is.New(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c := st.plain(t)
				for range 50 {
					c.send(start(""))
					if _, body := c.answer(); strings.Count(body, "event: complete") != 1 {
						t.Errorf("not one end: %q", body)
					}
				}
			})
		}
		all.Wait()
		is.True(!t.Failed())
	})

	t.Run("AClientOfGoTakesItAgain", func(t *testing.T) {
		is := is.New(t)
		reused := 0
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused {
				reused++
			}
		}}
		client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
		defer client.CloseIdleConnections()
		for range 10 {
			req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", st.url+"/projects/web/shell", strings.NewReader(`{"argv":["echo"]}`))
			is.NoErr(err)
			for name, value := range map[string]string{"Authorization": "Bearer " + adminKey, "Accept": "text/event-stream", "Content-Type": "application/json"} {
				req.Header.Set(name, value)
			}
			resp, err := client.Do(req)
			is.NoErr(err)
			_, err = io.ReadAll(resp.Body)
			is.NoErr(err)
			is.NoErr(resp.Body.Close())
		}
		is.Equal(reused, 9)
	})

	t.Run("AStopDoesNotWaitForIt", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		c := st.plain(t)
		c.send(start(""))
		c.answer()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		is.NoErr(st.hs.Shutdown(ctx))
		c.expectEnd()
	})
}
