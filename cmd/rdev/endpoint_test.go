package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"
)

// TestTheEndpointCountsWhileItsServerListens, for any number of lookers, which
// are in nobody's way.
func TestTheEndpointCountsWhileItsServerListens(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	is.Equal(endpoint(dir), "")
	forget, err := writeEndpoint(dir, "http://127.0.0.1:1")
	is.NoErr(err)
	var wait sync.WaitGroup
	var wrong atomic.Int64
	for range 8 {
		wait.Go(func() {
			for range 500 {
				if url := endpoint(dir); url != "http://127.0.0.1:1" && url != "http://127.0.0.1:2" {
					wrong.Add(1)
				}
			}
		})
	}
	// Another one takes its place, and the first one's end does not end that.
	forgetOther, err := writeEndpoint(dir, "http://127.0.0.1:2")
	is.NoErr(err)
	forget()
	wait.Wait()
	is.Equal(wrong.Load(), int64(0))
	is.Equal(endpoint(dir), "http://127.0.0.1:2")
	forgetOther()
	forgetOther()
	url, killed := readEndpoint(dir)
	is.Equal(url, "")
	is.True(!killed)
	_, err = os.Stat(endpointPath(dir))
	is.True(os.IsNotExist(err))

	// As one leaves it that was killed.
	is.NoErr(writePrivate(endpointPath(dir), "http://127.0.0.1:3\n"))
	url, killed = readEndpoint(dir)
	is.Equal(url, "")
	is.True(killed)
	forget, err = writeEndpoint(dir, "http://127.0.0.1:4")
	is.NoErr(err)
	is.Equal(endpoint(dir), "http://127.0.0.1:4")
	forget()
}

// TestAKeyIsNotSentToWhoeverHasThePort of a server that was killed.
func TestAKeyIsNotSentToWhoeverHasThePort(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	dir := t.TempDir()
	is := is.New(t)
	is.NoErr(writePrivate(endpointPath(dir), other.URL+"\n"))
	is.NoErr(writePrivate(localKeyPath(dir), "rdev_sk_secret\n"))
	for name, c := range map[string]struct {
		env  []string
		says string
	}{
		"nothing is named":    {nil, "rdev: no server runs from ~, the last one was killed; start one with rdev serve"},
		"the server is named": {[]string{"RDEV_SERVER", other.URL}, "rdev: there is no key to talk to the server with"},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			var stderr bytes.Buffer
			getenv := vars(append(c.env, "HOME", dir, "RDEV_DATA_DIR", dir)...)
			for _, args := range [][]string{{"projects"}, {"run", "--", "true"}, {"doctor"}} {
				stderr.Reset()
				code := run(t.Context(), args, getenv, strings.NewReader(""), &stderr, &stderr)
				is.True(code != 0 || args[0] == "doctor")
				is.True(strings.HasPrefix(stderr.String(), c.says) || args[0] == "doctor")
			}
			is.Equal(asked.Load(), int64(0))
		})
	}
}

// TestAConnectionIsMadeToTheServerOfTheFolderAlone: also later, when another one
// has its port.
func TestAConnectionIsMadeToTheServerOfTheFolderAlone(t *testing.T) {
	is := is.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	dir := t.TempDir()
	url := "http://" + l.Addr().String()
	forget, err := writeEndpoint(dir, url)
	is.NoErr(err)
	served := announced{l, forget}
	dial := dialEndpoint(dir, url)
	conn, err := dial(t.Context(), "tcp", l.Addr().String())
	is.NoErr(err)
	is.NoErr(conn.Close())

	is.NoErr(served.Close())
	thief, err := net.Listen("tcp", l.Addr().String())
	is.NoErr(err)
	defer thief.Close()
	_, err = dial(t.Context(), "tcp", l.Addr().String())
	is.True(err != nil && strings.Contains(err.Error(), "its server has ended"))
	got, err := thief.Accept()
	is.NoErr(err)
	defer got.Close()
	is.NoErr(got.SetReadDeadline(time.Now().Add(patience)))
	n, _ := got.Read(make([]byte, 1))
	is.Equal(n, 0) // it was told nothing

	// A server of the folder on another port is not the one that was meant.
	forget, err = writeEndpoint(dir, "http://127.0.0.1:1")
	is.NoErr(err)
	defer forget()
	_, err = dial(t.Context(), "tcp", l.Addr().String())
	is.True(err != nil)
}
