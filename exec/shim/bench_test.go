package shim_test

import (
	"context"
	"fmt"
	osexec "os/exec"
	"slices"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
)

// BenchmarkEcho compares a command through the engine, from Execute to the
// recorded result, with a bare fork and exec of the same program.
func BenchmarkEcho(b *testing.B) {
	e := openEngine(b, b.TempDir(), nil)
	workspace := b.TempDir()
	var bare, engine []time.Duration
	for b.Loop() {
		start := time.Now()
		if out, err := osexec.Command("/bin/echo", "hi").Output(); err != nil || string(out) != "hi\n" {
			b.Fatal(err)
		}
		middle := time.Now()
		lines := 0
		result, err := e.Execute(context.Background(), workspace, command(fmt.Sprintf("echo-%d", len(engine)), "/bin/echo", "hi"),
			func(batch []exec.Line) error { lines += len(batch); return nil })
		if err != nil || result.ExitCode != 0 || lines != 1 {
			b.Fatal(result, lines, err)
		}
		bare, engine = append(bare, middle.Sub(start)), append(engine, time.Since(middle))
	}
	slices.Sort(bare)
	slices.Sort(engine)
	b.ReportMetric(float64(bare[len(bare)/2].Microseconds()), "bare-µs")
	b.ReportMetric(float64(engine[len(engine)/2].Microseconds()), "engine-µs")
	b.ReportMetric(float64(engine[len(engine)/2])/float64(bare[len(bare)/2]), "ratio")
}

// BenchmarkLines measures lines of 64 bytes from a pipe to the log ("write"),
// the same with a follower at work ("live"), and from a finished log
// ("replay").
func BenchmarkLines(b *testing.B) {
	const script = `yes 123456789012345678901234567890123456789012345678901234567890123 | head -n "$N"`
	const count = 1_000_000
	cmd := shell("", script)
	cmd.Env = map[string]string{"N": fmt.Sprint(count)}
	cmd.MaxOutput = -1
	execute := func(b *testing.B, attach bool, replays int) {
		e := openEngine(b, b.TempDir(), nil)
		workspace := b.TempDir()
		i := 0
		one := func(id string) {
			cmd.ID = id
			var lines uint64
			sink := func(batch []exec.Line) error { lines += uint64(len(batch)); return nil }
			if !attach {
				sink = func([]exec.Line) error { return exec.ErrDetached }
			}
			result, err := e.Execute(context.Background(), workspace, cmd, sink)
			if !attach {
				again := cmd
				again.After = count
				result, err = e.Execute(context.Background(), workspace, again, nil)
				lines = result.Lines
			}
			if err != nil || result.ExitCode != 0 || lines != count {
				b.Fatal(result, lines, err)
			}
		}
		if replays > 0 {
			one("lines")
		}
		for b.Loop() {
			if replays == 0 {
				i++
				one(fmt.Sprintf("lines-%d", i))
				b.StopTimer()
				if err := e.Forget(cmd.ID); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			} else {
				one("lines")
			}
		}
		b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	}
	b.Run("write", func(b *testing.B) { execute(b, false, 0) })
	b.Run("live", func(b *testing.B) { execute(b, true, 0) })
	b.Run("replay", func(b *testing.B) { execute(b, true, 1) })
}
