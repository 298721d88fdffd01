package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
)

func TestFollow(t *testing.T) {
	e := openEngine(t, t.TempDir(), nil)
	workspace := t.TempDir()

	t.Run("FollowersFromAnyLineSeeTheSame", func(t *testing.T) {
		is := is.New(t)
		const count = 500_000
		// Lines of 8 bytes: no write of seq ends within one, so that none is
		// ever flushed early.
		cmd := shell("many", `seq 1000000 1499999`)
		followers := 8
		errs := make(chan error, followers)
		follow := func(after uint64) error {
			again := cmd
			again.After = after
			out := &output{next: after + 1}
			var lines uint64
			result, err := e.Execute(context.Background(), workspace, again, func(batch []exec.Line) error {
				// Checked here and thrown away, to keep the race detector's memory small.
				for i, l := range batch {
					if l.Seq != out.next {
						return fmt.Errorf("line %d instead of %d", l.Seq, out.next)
					}
					if i%64 == 0 && string(l.Data) != fmt.Sprint(999_999+l.Seq) {
						return fmt.Errorf("line %d is %q", l.Seq, l.Data)
					}
					out.next++
					lines++
				}
				return nil
			})
			if err == nil && (result.Lines != count || lines != count-after) {
				err = fmt.Errorf("%d lines of %d after %d", lines, result.Lines, after)
			}
			return err
		}
		var wg sync.WaitGroup
		for range followers {
			wg.Go(func() { errs <- follow(0) })
		}
		wg.Wait()
		for range followers {
			is.NoErr(<-errs)
		}
		for range followers {
			after := rand.Uint64N(count + 1)
			wg.Go(func() { errs <- follow(after) })
		}
		wg.Wait()
		for range followers {
			is.NoErr(<-errs)
		}
	})

	t.Run("ALateCallerAttachesToARunningCommand", func(t *testing.T) {
		is := is.New(t)
		gate := filepath.Join(t.TempDir(), "gate")
		cmd := shell("attach", `echo one; echo pid $$; while [ ! -e "$GATE" ]; do sleep 0.01; done; echo three`)
		cmd.Env = map[string]string{"GATE": gate}
		_, err := e.Execute(context.Background(), workspace, cmd, func(lines []exec.Line) error {
			return fmt.Errorf("seen enough: %w", exec.ErrDetached)
		})
		is.True(errors.Is(err, exec.ErrDetached))
		var out output
		done := make(chan error, 1)
		go func() {
			_, err := e.Execute(context.Background(), workspace, cmd, out.sink)
			done <- err
		}()
		is.NoErr(os.WriteFile(gate, nil, 0o600))
		is.NoErr(<-done)
		is.Equal(len(out.lines), 3)
		is.Equal(string(out.lines[2].Data), "three")
	})

	t.Run("ASlowFollowerHoldsUpNobody", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("slow", `seq 1000000 1199999`)
		release := make(chan struct{})
		slow := make(chan error, 1)
		started := make(chan struct{})
		var once sync.Once
		var lines uint64
		go func() {
			_, err := e.Execute(context.Background(), workspace, cmd, func(batch []exec.Line) error {
				once.Do(func() { close(started) })
				<-release
				lines += uint64(len(batch))
				return nil
			})
			slow <- err
		}()
		<-started
		result, err := e.Execute(context.Background(), workspace, cmd, func([]exec.Line) error { return nil })
		is.NoErr(err)
		is.Equal(result.Lines, uint64(200_000))
		close(release)
		is.NoErr(<-slow)
		is.Equal(lines, uint64(200_000))
	})

	t.Run("SameIDWithAnotherSpecificationIsConflict", func(t *testing.T) {
		is := is.New(t)
		_, err := e.Execute(context.Background(), workspace, shell("conflict", "exit 0"), discard)
		is.NoErr(err)
		_, err = e.Execute(context.Background(), workspace, shell("conflict", "exit 1"), discard)
		is.True(errors.Is(err, exec.ErrConflict))
	})

	t.Run("AnErrorOfSinkCancelsTheCommand", func(t *testing.T) {
		is := is.New(t)
		mine := errors.New("mine")
		cmd := shell("sinkerror", "echo hi; sleep 600")
		_, err := e.Execute(context.Background(), workspace, cmd, func([]exec.Line) error { return mine })
		is.True(errors.Is(err, mine))
		result, err := e.Execute(context.Background(), workspace, cmd, discard)
		is.NoErr(err)
		is.Equal(result.Reason, exec.Canceled)
		is.Equal(result.Signal, "SIGTERM")
	})

	t.Run("APanicOfSinkReachesTheCallerAndLeavesTheCommand", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("panic", "echo hi; sleep 600")
		recovered := func() (v any) {
			defer func() { v = recover() }()
			_, _ = e.Execute(context.Background(), workspace, cmd, func([]exec.Line) error { panic("boom") })
			return nil
		}()
		is.Equal(recovered, "boom")
		is.True(e.Forget("panic") != nil) // it runs
		is.NoErr(e.Cancel(context.Background(), "panic"))
		is.NoErr(e.Forget("panic"))
	})

	t.Run("TheEndOfTheContextCancels", func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithCancel(context.Background())
		var out output
		result, err := e.Execute(ctx, workspace, shell("ctx", "echo before; trap 'echo after; exit 7' TERM; echo ready; while :; do sleep 0.01; done"),
			func(lines []exec.Line) error {
				if err := out.sink(lines); err != nil {
					return err
				}
				if bytes.Contains(out.bytes(exec.Stdout), []byte("ready")) {
					cancel()
				}
				return nil
			})
		is.NoErr(err)
		is.Equal(result.Reason, exec.Canceled)
		is.Equal(result.ExitCode, 7)
		is.Equal(string(out.bytes(exec.Stdout)), "before\nready\nafter\n")
	})

	t.Run("ADetachedContextLeavesTheCommand", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("detach", "echo up; sleep 600")
		ctx, cancel := context.WithCancelCause(context.Background())
		_, err := e.Execute(ctx, workspace, cmd, func([]exec.Line) error {
			cancel(exec.ErrDetached)
			return nil
		})
		is.True(errors.Is(err, exec.ErrDetached))
		is.NoErr(e.Cancel(context.Background(), "detach"))
		result, err := e.Execute(context.Background(), workspace, cmd, discard)
		is.NoErr(err)
		is.Equal(result.Reason, exec.Canceled)
	})

	t.Run("LinesOfAnUnknownCommandMeanItIsLost", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("gone", "echo never")
		cmd.After = 3
		_, err := e.Execute(context.Background(), workspace, cmd, discard)
		is.True(errors.Is(err, exec.ErrLost))
	})

	t.Run("AnotherInstanceIsLost", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("instance", "true")
		cmd.Target.Instance = strings.Repeat("0", 32)
		_, err := e.Execute(context.Background(), workspace, cmd, discard)
		is.True(errors.Is(err, exec.ErrLost))
		cmd.Target.Instance = e.Instance()
		_, err = e.Execute(context.Background(), workspace, cmd, discard)
		is.NoErr(err)
	})
}

func discard([]exec.Line) error { return nil }
