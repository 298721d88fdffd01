package daemon_test

import (
	"context"
	"fmt"
	"io"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/exec/shim/daemon"
)

// newSocketClient returns a client that talks to the daemon's socket itself.
func newSocketClient(b *testing.B, program, dir string) *shim.Client {
	b.Helper()
	c, err := shim.NewClient(shim.ClientConfig{Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
		return daemon.Dial(ctx, dir, daemon.Start{Command: []string{program}})
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			b.Error(err)
		}
		c.Close()
	})
	return c
}

func discard([]exec.Line) error { return nil }

// BenchmarkDaemonEcho compares a command under the daemon, over its socket and
// through `connect`, with a bare fork and exec, in turns.
func BenchmarkDaemonEcho(b *testing.B) {
	program, dir, workspace := build(b), filepath.Join(b.TempDir(), "state"), b.TempDir()
	socket, connect := newSocketClient(b, program, dir), newClient(b, program, dir)
	took := make(map[string][]time.Duration)
	measure := func(name string, do func() error) {
		start := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		took[name] = append(took[name], time.Since(start))
	}
	echo := func(c *shim.Client, id string) error {
		cmd := exec.Command{ID: id, Target: exec.Target{Name: "here"}, Argv: []string{"/bin/echo", "hi"}}
		_, err := c.Execute(context.Background(), workspace, cmd, discard)
		return err
	}
	for i := 0; b.Loop(); i++ {
		measure("bare", func() error { _, err := osexec.Command("/bin/echo", "hi").Output(); return err })
		measure("socket", func() error { return echo(socket, fmt.Sprint("socket-", i)) })
		measure("connect", func() error { return echo(connect, fmt.Sprint("connect-", i)) })
	}
	for name, all := range took {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), name+"-µs")
	}
}

// BenchmarkDaemonLines measures 2,000,000 lines of 64 bytes, 130 MB, from a
// command under the daemon to a sink.
func BenchmarkDaemonLines(b *testing.B) {
	const count = 2_000_000
	program, dir, workspace := build(b), filepath.Join(b.TempDir(), "state"), b.TempDir()
	c := newSocketClient(b, program, dir)
	n := 0
	for b.Loop() {
		n++
		lines := 0
		result, err := c.Execute(context.Background(), workspace, command(fmt.Sprint("lines-", n),
			"yes 123456789012345678901234567890123456789012345678901234567890123 | head -n 2000000"),
			func(batch []exec.Line) error { lines += len(batch); return nil })
		if err != nil || result.ExitCode != 0 || lines != count {
			b.Fatal(result, lines, err)
		}
	}
	b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	status, err := c.Status(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(mb(memory(b, status.PID, "VmHWM")), "MB-resident")
}
