package shim_test

import (
	"context"
	"fmt"
	osexec "os/exec"
	"slices"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// BenchmarkClientEcho compares a command over a unix socket with the same in
// process, and with a bare fork and exec, in turns.
func BenchmarkClientEcho(b *testing.B) {
	e := openEngine(b, b.TempDir(), nil)
	c := newClient(b, shim.ClientConfig{Dial: dialer("unix", serveUnix(b, e, nil))})
	workspace, ctx := b.TempDir(), context.Background()
	took := make(map[string][]time.Duration)
	measure := func(name string, do func() error) {
		start := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		took[name] = append(took[name], time.Since(start))
	}
	for i := 0; b.Loop(); i++ {
		measure("bare", func() error { _, err := osexec.Command("/bin/echo", "hi").Output(); return err })
		measure("engine", func() error {
			_, err := e.Execute(ctx, workspace, command(fmt.Sprintf("engine-%d", i), "/bin/echo", "hi"), discard)
			return err
		})
		measure("client", func() error {
			_, err := c.Execute(ctx, workspace, command(fmt.Sprintf("client-%d", i), "/bin/echo", "hi"), discard)
			return err
		})
	}
	median := func(name string) time.Duration {
		slices.Sort(took[name])
		return took[name][len(took[name])/2]
	}
	for name := range took {
		b.ReportMetric(float64(median(name).Microseconds()), name+"-µs")
	}
	b.ReportMetric(float64(median("client"))/float64(median("bare")), "ratio")
}

// BenchmarkClientLines measures 2,000,000 lines of 64 bytes from a command to a
// sink: over a unix socket, and in process.
func BenchmarkClientLines(b *testing.B) {
	const count = 2_000_000
	e := openEngine(b, b.TempDir(), nil)
	c := newClient(b, shim.ClientConfig{Dial: dialer("unix", serveUnix(b, e, nil))})
	workspace, n := b.TempDir(), 0
	run := func(b *testing.B, execute func(context.Context, string, exec.Command, func([]exec.Line) error) (exec.Result, error)) {
		for b.Loop() {
			n++
			cmd := shell(fmt.Sprintf("lines-%d", n), `yes 123456789012345678901234567890123456789012345678901234567890123 | head -n 2000000`)
			lines := 0
			result, err := execute(context.Background(), workspace, cmd, func(batch []exec.Line) error { lines += len(batch); return nil })
			if err != nil || result.ExitCode != 0 || lines != count {
				b.Fatal(result, lines, err)
			}
			b.StopTimer()
			_ = e.Forget(cmd.ID)
			b.StartTimer()
		}
		b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	}
	b.Run("engine", func(b *testing.B) { run(b, e.Execute) })
	b.Run("client", func(b *testing.B) { run(b, c.Execute) })
}
