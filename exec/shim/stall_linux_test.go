package shim_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// TestStall: what a command has written is kept, however long the disk takes.
func TestStall(t *testing.T) {
	e := openEngine(t, t.TempDir(), nil)

	t.Run("OutputInThePipeIsReadWhenTheDiskComesBack", func(t *testing.T) {
		is := is.New(t)
		// Longer than the engine waits for readers.
		stall := sync.OnceFunc(func() { time.Sleep(8 * time.Second) })
		var out output
		result, err := shim.ExecuteOn(e, t.TempDir(), shell("stall", "seq 100001 130000; printf end; seq 100001 105000 >&2"), func() bool {
			stall()
			return true
		}, out.sink)
		is.NoErr(err)
		is.Equal(result.ExitCode, 0)
		is.True(!result.Truncated)
		is.Equal(result.StdoutBytes, int64(210_003))
		is.Equal(result.StderrBytes, int64(35_000))
		text := string(out.bytes(exec.Stdout))
		is.Equal(len(text), 210_003)
		is.True(strings.HasSuffix(text, "\n130000\nend"))
		is.Equal(len(out.bytes(exec.Stderr)), 35_000)
	})

	t.Run("OtherCommandsDoNotWait", func(t *testing.T) {
		is := is.New(t)
		back, stalled := make(chan struct{}), make(chan struct{})
		stall := sync.OnceFunc(func() {
			close(stalled)
			<-back
		})
		workspace, ended := t.TempDir(), make(chan error, 1)
		go func() {
			result, err := shim.ExecuteOn(e, workspace, shell("dead-disk", "seq 1 1000"), func() bool {
				stall()
				return true
			}, discard)
			if err == nil && result.Lines != 1000 {
				err = fmt.Errorf("%+v", result)
			}
			ended <- err
		}()
		<-stalled
		for i := range 3 {
			_, result, err := run(t, e, shell(fmt.Sprint("beside-", i), "seq 1 1000; (setsid true &)"))
			is.NoErr(err)
			is.Equal(result.Lines, uint64(1000))
		}
		close(back)
		is.NoErr(<-ended)
	})
}
