package daemon_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/exec/shim/daemon"
)

// TestIdle: a daemon that nobody uses ends, and takes no command with it that
// comes in that moment.
func TestIdle(t *testing.T) {
	is := is.New(t)
	dir, workspace := t.TempDir(), t.TempDir()
	c, err := shim.NewClient(shim.ClientConfig{Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
		return daemon.Dial(ctx, dir, daemon.Start{})
	}})
	is.NoErr(err)
	defer c.Close()
	ended := make(chan error, 1)
	var result exec.Result
	// It has found that it is idle: now somebody comes.
	come := sync.OnceFunc(func() {
		up := make(chan struct{})
		started := sync.OnceFunc(func() { close(up) })
		go func() {
			defer started()
			var err error
			result, err = c.Execute(context.Background(), workspace, command("late", "echo up; sleep 1; echo done"), func([]exec.Line) error {
				started()
				return nil
			})
			ended <- err
			c.Close() // and then it is idle
		}()
		<-up
	})
	serving, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	err = daemon.Serve(serving, daemon.Config{Dir: dir, IdleExit: 100 * time.Millisecond, Log: writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("idle")) {
			come()
		}
		return len(b), nil
	})}, func() {})
	is.NoErr(err)
	select {
	case err := <-ended:
		is.NoErr(err)
		is.Equal(result.Reason, exec.Exited)
		is.Equal(result.Lines, uint64(2))
	default:
		t.Error("it has ended before its command")
	}
	is.NoErr(serving.Err()) // by itself
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
