package shim_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec/shim"
)

// bridged is what a process has that was bridged to a server by HandOver.
type bridged struct {
	in, out *os.File
	bridge  net.Conn
	theirs  []*os.File // the bridge's ends of the pipes
}

func (b *bridged) Read(p []byte) (int, error)  { return b.out.Read(p) }
func (b *bridged) Write(p []byte) (int, error) { return b.in.Write(p) }
func (b *bridged) Close() error {
	for _, file := range append(b.theirs, b.in, b.out) {
		file.Close()
	}
	return b.bridge.Close()
}

func bridge(t *testing.T, path string) *bridged {
	t.Helper()
	is := is.New(t)
	conn, err := net.Dial("unix", path)
	is.NoErr(err)
	theirIn, in, err := os.Pipe()
	is.NoErr(err)
	out, theirOut, err := os.Pipe()
	is.NoErr(err)
	handed, err := shim.HandOver(conn.(*net.UnixConn), theirIn, theirOut)
	is.NoErr(err)
	is.True(handed)
	return &bridged{in: in, out: out, bridge: conn, theirs: []*os.File{theirIn, theirOut}}
}

func TestHandOver(t *testing.T) {
	t.Run("PipesTakeTheConnectionsPlace", func(t *testing.T) {
		is := is.New(t)
		path := serveUnix(t, openEngine(t, t.TempDir(), nil), nil)
		dials := 0
		c := newClient(t, shim.ClientConfig{Dial: func(context.Context) (io.ReadWriteCloser, error) {
			dials++
			return bridge(t, path), nil
		}})
		var out output
		result, err := c.Execute(context.Background(), t.TempDir(), shell("bulk", "seq 1 200000; exit 3"), out.sink)
		is.NoErr(err)
		is.Equal(result.ExitCode, 3)
		is.True(len(out.lines) >= 200_000)
		is.Equal(dials, 1)
	})
	t.Run("TheBridgesEndIsTheEndOfBoth", func(t *testing.T) {
		is := is.New(t)
		path := serveUnix(t, openEngine(t, t.TempDir(), nil), nil)
		b := bridge(t, path)
		defer b.Close()
		for _, file := range b.theirs { // only the server has them now
			file.Close()
		}
		is.NoErr(b.bridge.Close())
		is.NoErr(b.out.SetReadDeadline(time.Now().Add(deadline)))
		_, err := io.ReadAll(b.out)
		is.NoErr(err)
	})
	t.Run("TheServersEndIsTheBridges", func(t *testing.T) {
		is := is.New(t)
		path := serveUnix(t, openEngine(t, t.TempDir(), nil), nil)
		b := bridge(t, path)
		defer b.Close()
		_, err := b.in.WriteString(strings.Repeat("no hello", 10))
		is.NoErr(err)
		is.NoErr(b.bridge.SetReadDeadline(time.Now().Add(deadline)))
		_, err = b.bridge.Read(make([]byte, 1))
		is.Equal(err, io.EOF)
	})
	t.Run("AnythingElseIsRefused", func(t *testing.T) {
		is := is.New(t)
		path := serveUnix(t, openEngine(t, t.TempDir(), nil), nil)
		conn, err := net.Dial("unix", path)
		is.NoErr(err)
		defer conn.Close()
		_, _, err = conn.(*net.UnixConn).WriteMsgUnix([]byte{0}, unix.UnixRights(1), nil)
		is.NoErr(err)
		is.NoErr(conn.SetReadDeadline(time.Now().Add(deadline)))
		_, err = conn.Read(make([]byte, 1))
		is.Equal(err, io.EOF)
	})
	t.Run("WhatIsNoPipeIsLeft", func(t *testing.T) {
		is := is.New(t)
		path := serveUnix(t, openEngine(t, t.TempDir(), nil), nil)
		conn, err := net.Dial("unix", path)
		is.NoErr(err)
		defer conn.Close()
		file, err := os.Create(t.TempDir() + "/file")
		is.NoErr(err)
		defer file.Close()
		handed, err := shim.HandOver(conn.(*net.UnixConn), file, file)
		is.NoErr(err)
		is.True(!handed)
	})
}
