package shim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/internal/faultproxy"
)

// faulty serves the engine behind a proxy and returns both.
func faulty(t testing.TB, e *shim.Engine, options *shim.ServerOptions, plan func(n int) faultproxy.Fault) *faultproxy.Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, e, options, listener)
	return faultproxy.New(t, listener.Addr().String(), plan)
}

// random cuts, stalls and slows connections.
func random(n int) faultproxy.Fault {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	switch r.IntN(12) {
	case 0:
		return faultproxy.Fault{StallAfter: 1 + r.Int64N(3000)}
	case 1:
		return faultproxy.Fault{Rate: 20_000, CutAfter: 1 + r.Int64N(3000)}
	case 2:
		return faultproxy.Fault{Refuse: true}
	case 3, 4:
		return faultproxy.Fault{CutAfter: 1 + r.Int64N(300)} // also in the hello
	}
	return faultproxy.Fault{CutAfter: 1 + r.Int64N(2_000_000)}
}

// impatient finds stalls soon.
const impatient = 200 * time.Millisecond

func TestFaultsContract(t *testing.T) {
	e := openEngine(t, t.TempDir(), &shim.Options{Linger: 4 * time.Second})
	p := faulty(t, e, &shim.ServerOptions{Heartbeat: impatient}, random)
	c := newClient(t, shim.ClientConfig{Dial: dialer("tcp", p.Addr()), Heartbeat: impatient})
	workspace := t.TempDir()
	exectest.Run(t, func(*testing.T) exectest.Subject {
		return exectest.Subject{Executor: remote{c, workspace}, Target: exec.Target{Name: "here"}, Patience: deadline}
	})
	t.Logf("%d connections were cut", p.Cuts())
}

func TestFaults(t *testing.T) {
	ctx := context.Background()

	t.Run("EachCommandRunsOnce", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		p := faulty(t, e, nil, func(n int) faultproxy.Fault {
			return faultproxy.Fault{CutAfter: 200 + rand.New(rand.NewPCG(uint64(n), 2)).Int64N(20_000)}
		})
		c := newClient(t, shim.ClientConfig{Dial: dialer("tcp", p.Addr())})
		workspace := t.TempDir()
		const workers, each = 8, 125
		errs := make(chan error, workers)
		for w := range workers {
			go func() { errs <- runOnce(ctx, c, workspace, w, each) }()
		}
		stop := make(chan struct{})
		var cutting sync.WaitGroup
		cutting.Go(func() { // on the way to the server, too
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(5+rand.IntN(40)) * time.Millisecond):
					p.CutAll()
				}
			}
		})
		for range workers {
			is.NoErr(<-errs)
		}
		close(stop)
		cutting.Wait()
		data, err := os.ReadFile(filepath.Join(workspace, "effects"))
		is.NoErr(err)
		ran := make(map[string]int)
		for _, id := range strings.Fields(string(data)) {
			ran[id]++
		}
		is.Equal(len(ran), workers*each)
		for _, n := range ran {
			is.Equal(n, 1)
		}
		t.Logf("%d commands, %d connections were cut", workers*each, p.Cuts())
		is.True(p.Cuts() > 10)
	})

	t.Run("AllLinesComeOnce", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		p := faulty(t, e, nil, func(n int) faultproxy.Fault {
			return faultproxy.Fault{CutAfter: 1 + rand.New(rand.NewPCG(uint64(n), 3)).Int64N(600_000)}
		})
		c := newClient(t, shim.ClientConfig{Dial: dialer("tcp", p.Addr())})
		next := 1
		result, err := c.Execute(ctx, t.TempDir(), command("lines", "seq", "1000000"), func(lines []exec.Line) error {
			for _, l := range lines {
				if l.Seq != uint64(next) || string(l.Data) != fmt.Sprint(next) {
					return fmt.Errorf("line %d is %q, want %d", l.Seq, l.Data, next)
				}
				next++
			}
			return nil
		})
		is.NoErr(err)
		is.Equal(result.Lines, uint64(1_000_000))
		is.Equal(next, 1_000_001)
		t.Logf("%d connections were cut", p.Cuts())
		is.True(p.Cuts() > 5)
	})

	t.Run("ASilentServerIsLeft", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		p := faulty(t, e, nil, func(n int) faultproxy.Fault {
			if n == 0 {
				return faultproxy.Fault{StallAfter: 400}
			}
			return faultproxy.Fault{}
		})
		c := newClient(t, shim.ClientConfig{Dial: dialer("tcp", p.Addr()), Heartbeat: 50 * time.Millisecond})
		var out output
		result, err := c.Execute(ctx, t.TempDir(), command("stall", "seq", "10000"), out.sink)
		is.NoErr(err)
		is.Equal(result.Lines, uint64(10_000))
		is.Equal(len(out.lines), 10_000)
	})

	t.Run("AnotherStateFolderIsNotMistakenForTheFirst", func(t *testing.T) {
		is := is.New(t)
		workspace := t.TempDir()
		paths := []string{
			serveUnix(t, openEngine(t, t.TempDir(), nil), nil),
			serveUnix(t, openEngine(t, t.TempDir(), nil), nil),
		}
		first := make(chan net.Conn, 1)
		dials := 0
		c := newClient(t, shim.ClientConfig{Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", paths[min(dials, 1)])
			if dials++; dials == 1 && err == nil {
				first <- conn
			}
			return conn, err
		}})
		_, err := c.Execute(ctx, workspace, shell("pod", "echo ran >>effects; echo up; sleep 600"), func([]exec.Line) error {
			return (<-first).Close()
		})
		is.True(errors.Is(err, exec.ErrLost))
		data, err := os.ReadFile(filepath.Join(workspace, "effects"))
		is.NoErr(err)
		is.Equal(string(data), "ran\n")
	})
}

// runOnce runs short commands that leave a trace, and checks what comes of
// them.
func runOnce(ctx context.Context, c *shim.Client, workspace string, w, count int) error {
	for i := range count {
		id := fmt.Sprintf("once-%d-%d", w, i)
		var out output
		result, err := c.Execute(ctx, workspace, shell(id, fmt.Sprintf("echo %s >>effects; echo out; echo err >&2; exit %d", id, i%256)), out.sink)
		switch {
		case err != nil:
			return err
		case result.ExitCode != i%256 || result.Lines != 2 || len(out.lines) != 2:
			return fmt.Errorf("%s: %+v, %v", id, result, out.lines)
		}
	}
	return nil
}
