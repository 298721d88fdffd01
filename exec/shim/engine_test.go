package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// deadline is how long a test waits for what must happen at all.
const deadline = 60 * time.Second

func openEngine(t testing.TB, dir string, options *shim.Options) *shim.Engine {
	t.Helper()
	e, err := shim.Open(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

func command(id string, argv ...string) exec.Command {
	return exec.Command{ID: id, Target: exec.Target{Name: "here"}, Argv: argv}
}

func shell(id, script string) exec.Command { return command(id, "sh", "-c", script) }

// output is what a sink received, copied and checked to be dense.
type output struct {
	lines []exec.Line
	next  uint64
}

func (o *output) sink(lines []exec.Line) error {
	if len(lines) == 0 {
		return errors.New("empty batch")
	}
	if o.next == 0 {
		o.next = lines[0].Seq
	}
	for _, l := range lines {
		if l.Seq != o.next {
			return fmt.Errorf("line %d follows %d", l.Seq, o.next-1)
		}
		if len(l.Data) > exec.MaxLine || bytes.IndexByte(l.Data, '\n') >= 0 {
			return fmt.Errorf("line %d is malformed", l.Seq)
		}
		o.next++
		l.Data = bytes.Clone(l.Data)
		o.lines = append(o.lines, l)
	}
	return nil
}

// bytes puts a stream together again.
func (o *output) bytes(stream exec.Stream) []byte {
	var b []byte
	for _, l := range o.lines {
		if l.Stream == stream {
			b = append(b, l.Data...)
			if !l.Partial {
				b = append(b, '\n')
			}
		}
	}
	return b
}

func run(t testing.TB, e *shim.Engine, cmd exec.Command) (*output, exec.Result, error) {
	t.Helper()
	return runIn(t, e, t.TempDir(), cmd)
}

func runIn(t testing.TB, e *shim.Engine, workspace string, cmd exec.Command) (*output, exec.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var out output
	result, err := e.Execute(ctx, workspace, cmd, out.sink)
	return &out, result, err
}

func TestExecute(t *testing.T) {
	e := openEngine(t, t.TempDir(), nil)

	t.Run("ReturnsExitCodeAndBothStreams", func(t *testing.T) {
		is := is.New(t)
		out, result, err := run(t, e, shell("both", "echo out; echo err >&2; exit 3"))
		is.NoErr(err)
		is.Equal(result.ExitCode, 3)
		is.Equal(result.Reason, exec.Exited)
		is.Equal(string(out.bytes(exec.Stdout)), "out\n")
		is.Equal(string(out.bytes(exec.Stderr)), "err\n")
		is.Equal(result.Lines, uint64(2))
		is.Equal(result.StdoutBytes, int64(4))
		is.Equal(result.StderrBytes, int64(4))
		is.Equal(len(result.Survivors), 0)
	})

	t.Run("StdinIsGivenWhole", func(t *testing.T) {
		is := is.New(t)
		cmd := command("stdin", "cat")
		cmd.Stdin = []byte(strings.Repeat("0123456789abcde\n", 64<<10))
		out, result, err := run(t, e, cmd)
		is.NoErr(err)
		is.Equal(result.ExitCode, 0)
		is.True(bytes.Equal(out.bytes(exec.Stdout), cmd.Stdin))
	})
}

// TestTheEndGivesWayToOutput: but only of a command that has just printed, and
// that nobody ends.
func TestTheEndGivesWayToOutput(t *testing.T) {
	is := is.New(t)
	const pause = time.Second
	e := openEngine(t, t.TempDir(), &shim.Options{GiveWay: pause})
	first := func(cmd exec.Command) (line, end time.Duration, result exec.Result) {
		began := time.Now()
		result, err := e.Execute(t.Context(), t.TempDir(), cmd, func([]exec.Line) error {
			line = time.Since(began)
			return nil
		})
		is.NoErr(err)
		return line, time.Since(began), result
	}
	line, end, result := first(shell("says", "echo hi"))
	is.True(line < pause)
	is.True(end >= pause)
	is.True(result.Duration < pause)
	_, end, _ = first(shell("silent", "true"))
	is.True(end < pause)
	cmd := shell("late", "echo hi; sleep 60")
	cmd.Timeout = 100 * time.Millisecond
	_, end, result = first(cmd)
	is.Equal(result.Reason, exec.TimedOut)
	is.True(end < pause)
}
