package server_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// exchangesEnv names a folder in which each connection to a stand is kept as it
// went over the wire: what was sent in one file, and what was answered in another.
// internal/apitest sets it, and holds all of that to openapi.yaml.
const exchangesEnv = "RDEV_TEST_EXCHANGES"

// stands numbers the files of one run.
var stands atomic.Int64

// recorded is the listener, with its connections kept if that is asked for. base is
// the path under which the API is mounted.
func recorded(t testing.TB, l net.Listener, base string) net.Listener {
	t.Helper()
	folder := os.Getenv(exchangesEnv)
	if folder == "" {
		return l
	}
	name := filepath.Join(folder, strconv.FormatInt(stands.Add(1), 10))
	if err := os.WriteFile(name+".base", []byte(base), 0o600); err != nil {
		t.Fatal(err)
	}
	return &recordingListener{Listener: l, name: name}
}

type recordingListener struct {
	net.Listener
	name  string
	conns atomic.Int64
}

func (r *recordingListener) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s-%d", r.name, r.conns.Add(1))
	sent, err := os.Create(name + ".sent")
	if err != nil {
		return nil, err
	}
	answered, err := os.Create(name + ".answered")
	if err != nil {
		return nil, err
	}
	return &recordedConn{Conn: conn, sent: sent, answered: answered}, nil
}

// recordedConn writes down what its caller reads and writes.
type recordedConn struct {
	net.Conn
	sent, answered *os.File
	once           sync.Once
}

func (c *recordedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	_, _ = c.sent.Write(b[:n])
	return n, err
}

func (c *recordedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	_, _ = c.answered.Write(b[:n])
	return n, err
}

func (c *recordedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { _, _ = c.sent.Close(), c.answered.Close() })
	return err
}
