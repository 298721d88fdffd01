package shim_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
)

func TestOutput(t *testing.T) {
	e := openEngine(t, t.TempDir(), nil)

	t.Run("ALongLineIsSeveralLines", func(t *testing.T) {
		is := is.New(t)
		out, result, err := run(t, e, shell("long", `head -c 10485760 /dev/zero | tr '\0' x; echo; echo next`))
		is.NoErr(err)
		is.Equal(result.StdoutBytes, int64(10<<20+6))
		want := append(bytes.Repeat([]byte("x"), 10<<20), "\nnext\n"...)
		is.True(bytes.Equal(out.bytes(exec.Stdout), want))
		for _, l := range out.lines[:len(out.lines)-2] {
			is.True(l.Partial)
		}
		is.True(!out.lines[len(out.lines)-2].Partial)
	})

	t.Run("ALineOfExactlyMaxLineIsOne", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		data := append(make([]byte, exec.MaxLine), '\n')
		data = append(append(data, make([]byte, exec.MaxLine+1)...), '\n')
		is.NoErr(os.WriteFile(filepath.Join(dir, "data"), data, 0o600))
		out, _, err := runIn(t, e, dir, shell("exact", `dd if=data bs=1M 2>/dev/null`))
		is.NoErr(err)
		is.Equal(len(out.lines), 3)
		is.Equal(len(out.lines[0].Data), exec.MaxLine)
		is.True(!out.lines[0].Partial)
		is.Equal(len(out.lines[1].Data), exec.MaxLine)
		is.True(out.lines[1].Partial)
		is.Equal(len(out.lines[2].Data), 1)
	})

	t.Run("ArbitraryBytesComeBackOnBothStreams", func(t *testing.T) {
		is := is.New(t)
		random := rand.NewChaCha8([32]byte{1})
		dir := t.TempDir()
		data := [2][]byte{make([]byte, 3<<20), make([]byte, 2<<20+17)}
		for i, name := range []string{"out", "err"} {
			_, _ = random.Read(data[i])
			copy(data[i][1000:], "\r\n\r\x00\n\n\n")
			data[i][len(data[i])-1] = 'e' // no newline at the end
			is.NoErr(os.WriteFile(filepath.Join(dir, name), data[i], 0o600))
		}
		var out output
		cmd := shell("bytes", "cat err >&2 & cat out; wait")
		result, err := e.Execute(context.Background(), dir, cmd, out.sink)
		is.NoErr(err)
		is.True(bytes.Equal(out.bytes(exec.Stdout), data[0]))
		is.True(bytes.Equal(out.bytes(exec.Stderr), data[1]))
		is.Equal(result.StdoutBytes, int64(len(data[0])))
		is.Equal(result.StderrBytes, int64(len(data[1])))
		is.Equal(result.Lines, uint64(len(out.lines)))
	})

	t.Run("APromptIsFlushedAndGoesOn", func(t *testing.T) {
		is := is.New(t)
		gate := filepath.Join(t.TempDir(), "gate")
		cmd := shell("prompt", `printf 'name? '; while [ ! -e "$GATE" ]; do sleep 0.01; done; echo yes`)
		cmd.Env = map[string]string{"GATE": gate}
		var out output
		_, err := e.Execute(context.Background(), t.TempDir(), cmd, func(lines []exec.Line) error {
			if err := out.sink(lines); err != nil {
				return err
			}
			return os.WriteFile(gate, nil, 0o600) // so the prompt came before
		})
		is.NoErr(err)
		is.Equal(string(out.bytes(exec.Stdout)), "name? yes\n")
		is.Equal(len(out.lines), 2)
		is.True(out.lines[0].Partial)
	})

	t.Run("OutputPastTheCapIsCountedAndThrownAway", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("cap", `seq 1 100000; echo done >&2; exit 4`)
		cmd.MaxOutput = 1001
		out, result, err := run(t, e, cmd)
		is.NoErr(err)
		is.Equal(result.ExitCode, 4)
		is.True(result.Truncated)
		is.Equal(result.StdoutBytes, int64(588895))
		is.Equal(result.StderrBytes, int64(5))
		is.Equal(len(out.bytes(exec.Stdout))+len(out.bytes(exec.Stderr)), 1001)
		cmd.ID, cmd.MaxOutput = "nocap", -1
		out, result, err = run(t, e, cmd)
		is.NoErr(err)
		is.True(!result.Truncated)
		is.Equal(len(out.bytes(exec.Stdout)), 588895)
	})

	t.Run("StdinThatNobodyReadsDoesNoHarm", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("unread", "exec sleep 0.05")
		cmd.Stdin = make([]byte, exec.MaxStdin)
		_, result, err := run(t, e, cmd)
		is.NoErr(err)
		is.Equal(result.ExitCode, 0)
	})

	t.Run("WithoutStdinItIsEmpty", func(t *testing.T) {
		is := is.New(t)
		_, result, err := run(t, e, shell("null", `[ "$(readlink /proc/self/fd/0)" = /dev/null ] && ! read x`))
		is.NoErr(err)
		is.Equal(result.ExitCode, 0)
	})
}
