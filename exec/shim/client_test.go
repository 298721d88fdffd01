package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/shim"
)

// serveUnix serves the engine on a unix socket and returns its path.
func serveUnix(t testing.TB, e *shim.Engine, options *shim.ServerOptions) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shim") // short: a socket's path has little room
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, e, options, listener)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return path
}

func serve(t testing.TB, e *shim.Engine, options *shim.ServerOptions, listener net.Listener) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- shim.NewServer(e, options).Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func dialer(network, addr string) func(context.Context) (io.ReadWriteCloser, error) {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

func newClient(t testing.TB, config shim.ClientConfig) *shim.Client {
	t.Helper()
	c, err := shim.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// remote is a Client with one folder for all targets but one.
type remote struct {
	*shim.Client
	workspace string
}

func (r remote) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	if cmd.Validate() == nil && cmd.Target.Name != "here" {
		return exec.Result{}, exec.ErrTargetNotFound
	}
	return r.Client.Execute(ctx, r.workspace, cmd, sink)
}

func (r remote) Cancel(ctx context.Context, target exec.Target, id string) error {
	if target.Name != "here" {
		return exec.ErrTargetNotFound
	}
	return r.Client.Cancel(ctx, id)
}

func (r remote) Kill(ctx context.Context, target exec.Target, id string) error {
	if target.Name != "here" {
		return exec.ErrTargetNotFound
	}
	return r.Client.Kill(ctx, id)
}

func TestClientContract(t *testing.T) {
	run := func(t *testing.T, dial func(t *testing.T, e *shim.Engine) func(context.Context) (io.ReadWriteCloser, error)) {
		exectest.Run(t, func(t *testing.T) exectest.Subject {
			// On a busy machine a second is not enough for a child to say a word.
			e := openEngine(t, t.TempDir(), &shim.Options{Linger: 4 * time.Second})
			c := newClient(t, shim.ClientConfig{Dial: dial(t, e)})
			return exectest.Subject{Executor: remote{c, t.TempDir()}, Target: exec.Target{Name: "here"}}
		})
	}
	t.Run("UnixSocket", func(t *testing.T) {
		run(t, func(t *testing.T, e *shim.Engine) func(context.Context) (io.ReadWriteCloser, error) {
			return dialer("unix", serveUnix(t, e, nil))
		})
	})
	t.Run("Pipe", func(t *testing.T) {
		run(t, func(t *testing.T, e *shim.Engine) func(context.Context) (io.ReadWriteCloser, error) {
			return pipeDialer(t, shim.NewServer(e, nil))
		})
	})
}

// pipeDialer serves each connection on a pipe in memory, which holds nothing.
func pipeDialer(t testing.TB, s *shim.Server) func(context.Context) (io.ReadWriteCloser, error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{}, 1000)
	served := 0
	t.Cleanup(func() {
		stop()
		for range served {
			<-ended
		}
	})
	return func(context.Context) (io.ReadWriteCloser, error) {
		mine, theirs := net.Pipe()
		served++ // a client dials once at a time
		go func() {
			_ = s.ServeConn(ctx, theirs)
			ended <- struct{}{}
		}()
		return mine, nil
	}
}

func TestClient(t *testing.T) {
	ctx := context.Background()

	t.Run("ErrorsKeepTheirIdentity", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		c := newClient(t, shim.ClientConfig{Dial: dialer("unix", serveUnix(t, e, nil))})
		cmd := shell("dir", "true")
		cmd.Dir = "../out"
		_, want := e.Execute(ctx, t.TempDir(), cmd, discard)
		_, err := c.Execute(ctx, t.TempDir(), cmd, discard)
		var field *exec.FieldError
		is.True(errors.As(err, &field))
		is.Equal(field.Field, "dir")
		is.True(errors.Is(err, exec.ErrInvalidCommand))
		is.Equal(err.Error(), want.Error())

		_, err = c.Execute(ctx, t.TempDir(), command("absent", "no-such-program"), discard)
		is.True(errors.Is(err, exec.ErrProgramNotFound))
		_, err = c.Execute(ctx, filepath.Join(t.TempDir(), "gone"), command("ready", "true"), discard)
		is.True(errors.Is(err, exec.ErrTargetNotReady))
		cmd = command("other", "true")
		cmd.Target.Instance = "another"
		_, err = c.Execute(ctx, t.TempDir(), cmd, discard)
		is.True(errors.Is(err, exec.ErrLost))
	})

	t.Run("TheEnvironmentIsTheClients", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		env := []string{"PATH=/usr/bin:/bin", "MINE=yes"}
		for i := range 20_000 { // more than a packet holds
			env = append(env, fmt.Sprintf("FILL_%d=%d", i, i))
		}
		c := newClient(t, shim.ClientConfig{Dial: dialer("unix", serveUnix(t, e, nil)), Env: env})
		var out output
		_, err := c.Execute(ctx, t.TempDir(), shell("env", `echo "$MINE $FILL_19999"`), out.sink)
		is.NoErr(err)
		is.Equal(string(out.bytes(exec.Stdout)), "yes 19999\n")
	})

	t.Run("LinesTravelPackedWhereThatMakesThemSmaller", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		noise := make([]byte, 3<<20)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
		text := bytes.Repeat([]byte("a line like any other\n"), 200_000)
		want := slices.Concat(noise, []byte("\n"), text, noise, []byte("\n"), text)
		is.NoErr(os.WriteFile(filepath.Join(dir, "mixed"), want, 0o600))
		var received atomic.Int64
		dial := dialer("unix", serveUnix(t, openEngine(t, t.TempDir(), nil), nil))
		c := newClient(t, shim.ClientConfig{Pack: true, Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
			conn, err := dial(ctx)
			return &counted{conn, &received}, err
		}})
		var readers sync.WaitGroup
		for i := range 3 { // at once: buffers are used by one after the other
			readers.Go(func() {
				var out output
				slow := func(lines []exec.Line) error {
					time.Sleep(50 * time.Microsecond) // so that packets come meanwhile
					return out.sink(lines)
				}
				if _, err := c.Execute(ctx, dir, command(fmt.Sprint("mixed-", i), "cat", "mixed"), slow); err != nil {
					t.Error(err)
				}
				if !bytes.Equal(out.bytes(exec.Stdout), want) {
					t.Errorf("%d bytes came, or others, want %d", len(out.bytes(exec.Stdout)), len(want))
				}
			})
		}
		readers.Wait()
		most := int64(3 * (2*len(noise) + 2*len(noise)/16 + len(text)))
		is.True(received.Load() < most) // of the text, less than half
	})

	t.Run("NoConnectionIsNotStarted", func(t *testing.T) {
		is := is.New(t)
		broken := errors.New("no way")
		c := newClient(t, shim.ClientConfig{
			Dial:     func(context.Context) (io.ReadWriteCloser, error) { return nil, broken },
			Patience: 50 * time.Millisecond,
		})
		_, err := c.Execute(ctx, t.TempDir(), command("never", "true"), discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err = c.Execute(ended, t.TempDir(), command("never", "true"), discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
		is.True(c.Cancel(ctx, "never") != nil) // nothing was seen
		_, err = c.Incarnation(ctx)
		is.True(err != nil)
	})

	t.Run("AGoneTargetIsSaidAtOnce", func(t *testing.T) {
		is := is.New(t)
		for _, want := range []error{exec.ErrTargetNotFound, exec.ErrTargetNotReady, exec.ErrLost} {
			c := newClient(t, shim.ClientConfig{
				Dial:     func(context.Context) (io.ReadWriteCloser, error) { return nil, fmt.Errorf("dial: %w", want) },
				Patience: deadline,
			})
			_, err := c.Execute(ctx, t.TempDir(), command("gone", "true"), discard)
			is.True(errors.Is(err, want))
		}
	})

	t.Run("CloseLeavesTheCommands", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		path := serveUnix(t, e, nil)
		c := newClient(t, shim.ClientConfig{Dial: dialer("unix", path)})
		cmd := shell("stay", "echo up; sleep 0.2; exit 5")
		_, err := c.Execute(ctx, t.TempDir(), cmd, func([]exec.Line) error {
			go c.Close()
			return nil
		})
		is.True(errors.Is(err, exec.ErrDetached))
		is.True(errors.Is(err, shim.ErrClosed))
		_, err = c.Execute(ctx, t.TempDir(), cmd, discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
		c = newClient(t, shim.ClientConfig{Dial: dialer("unix", path)})
		result, err := c.Execute(ctx, t.TempDir(), cmd, discard)
		is.NoErr(err)
		is.Equal(result.ExitCode, 5)
	})

	t.Run("ASlowReaderHoldsNobodyUp", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		c := newClient(t, shim.ClientConfig{Dial: dialer("unix", serveUnix(t, e, nil)), Window: 16 << 10})
		release, stuck, slow := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		var slowLines output
		workspace := t.TempDir()
		go func() {
			first := true
			_, err := c.Execute(ctx, workspace, command("slow", "seq", "300000"), func(lines []exec.Line) error {
				if first {
					first = false
					close(stuck)
					<-release
				}
				return slowLines.sink(lines)
			})
			slow <- err
		}()
		<-stuck
		var out output
		result, err := c.Execute(ctx, workspace, command("fast", "seq", "300000"), out.sink)
		is.NoErr(err)
		is.Equal(result.Lines, uint64(300_000))
		is.Equal(len(out.lines), 300_000)
		close(release)
		is.NoErr(<-slow)
		is.Equal(len(slowLines.lines), 300_000)
	})

	t.Run("WhatNobodyCouldAskForIsNotForgotten", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), &shim.Options{Retention: 2 * time.Second})
		dial := dialer("unix", serveUnix(t, e, nil))
		workspace := t.TempDir()
		cmd := shell("once", "echo ran >>effects")
		c := newClient(t, shim.ClientConfig{Dial: dial})
		_, err := c.Execute(ctx, workspace, cmd, discard)
		is.NoErr(err)
		c.Close()
		time.Sleep(3 * time.Second)
		c = newClient(t, shim.ClientConfig{Dial: dial})
		_, err = c.Execute(ctx, workspace, cmd, discard)
		is.NoErr(err)
		data, err := os.ReadFile(filepath.Join(workspace, "effects"))
		is.NoErr(err)
		is.Equal(string(data), "ran\n")
		is.True(settles(func() bool { _, ended := e.Count(); return ended == 0 })) // now it is
	})

	t.Run("StatusForgetAndDrain", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		stopped := make(chan struct{}, 1)
		c := newClient(t, shim.ClientConfig{
			Dial:     dialer("unix", serveUnix(t, e, &shim.ServerOptions{Build: "b1", Stop: func() { stopped <- struct{}{} }})),
			Patience: 50 * time.Millisecond,
		})
		_, err := c.Execute(ctx, t.TempDir(), command("one", "true"), discard)
		is.NoErr(err)
		status, err := c.Status(ctx)
		is.NoErr(err)
		is.Equal(status, shim.Status{Build: "b1", Instance: e.Instance(), PID: os.Getpid(), Ended: 1, Connections: 1})
		is.NoErr(c.Forget(ctx, "one"))
		status, err = c.Status(ctx)
		is.NoErr(err)
		is.Equal(status.Ended, 0)
		is.NoErr(c.Drain(ctx))
		<-stopped
		_, err = c.Execute(ctx, t.TempDir(), command("two", "true"), discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
		is.True(errors.Is(err, shim.ErrClosed))
		is.NoErr(c.Stop(ctx))
		<-stopped
	})
}

// counted counts what is read.
type counted struct {
	io.ReadWriteCloser
	bytes *atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}
