package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The server leaves its URL in its data folder while it listens. By that the
// command line on the same machine finds it, on whichever port; and it is the
// only server to which the key of that folder is ever sent by itself.
//
// A server that was killed leaves the file behind, and its port may be anybody's
// then. So the file is locked for as long as its server listens, and counts for
// that long. It is locked before it has its name: whoever reads it sees the URL
// and the lock, or neither, and no look at it is ever in a server's way.

func endpointPath(dataDir string) string { return filepath.Join(dataDir, "server.url") }

// writeEndpoint records the URL, until remove is called.
func writeEndpoint(dataDir, url string) (remove func(), err error) {
	path := endpointPath(dataDir)
	f, err := replacePrivate(path, url+"\n", func(f *os.File) error {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return fmt.Errorf("lock it: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot leave the server's URL in %s: %w", path, err)
	}
	return sync.OnceFunc(func() {
		own, _ := f.Stat()
		if now, err := os.Stat(path); err == nil && os.SameFile(own, now) {
			_ = os.Remove(path) // another server's stays
		}
		_ = f.Close() // and the lock is gone
	}), nil
}

// readEndpoint returns the URL of the server that runs from the folder, or "".
// killed says that there is none because the last one was killed.
func readEndpoint(dataDir string) (url string, killed bool) {
	if dataDir == "" {
		return "", false
	}
	for {
		f, err := os.Open(endpointPath(dataDir))
		if err != nil {
			return "", false
		}
		url, runs := lookAt(f)
		read, _ := f.Stat()
		_ = f.Close()
		if runs {
			return url, false
		}
		// One that ends takes its file away first, and one that begins puts its
		// own in the place.
		now, err := os.Stat(endpointPath(dataDir))
		switch {
		case err != nil:
			return "", false
		case os.SameFile(read, now):
			return "", true
		}
	}
}

// lookAt returns the URL in the file, and whether its server runs.
func lookAt(f *os.File) (url string, runs bool) {
	const most = 200
	text, err := io.ReadAll(io.LimitReader(f, most))
	return strings.TrimSpace(string(text)), locked(f) && err == nil
}

// endpoint is the URL that readEndpoint returns.
func endpoint(dataDir string) string {
	url, _ := readEndpoint(dataDir)
	return url
}

// locked reports whether somebody else has locked the file. It tries to share
// the lock, so that two who look do not take each other for the server; what it
// gets goes when the file is closed.
func locked(f *os.File) bool {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return errors.Is(err, syscall.EWOULDBLOCK)
		}
	}
}

// An announced listener is one whose URL is in the data folder, for as long as
// the port is its.
type announced struct {
	listener
	forget func()
}

// Close implements net.Listener.
func (a announced) Close() error {
	a.forget()
	return a.listener.Close()
}

// errEnded: what has the port now is not the server that was meant.
var errEnded = errors.New("its server has ended")

// dialEndpoint makes connections to the server at the URL that the folder names.
// One on which a key is about to be sent is made at any time, hours later when a
// stream is continued: that it leads there is looked at when it has been made.
func dialEndpoint(dataDir, url string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err == nil && endpoint(dataDir) != url {
			_ = conn.Close()
			conn, err = nil, &net.OpError{Op: "dial", Net: network, Err: errEnded}
		}
		return conn, err
	}
}
