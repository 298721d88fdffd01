package shim_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/internal/oddproc"
)

// marked returns the living processes whose arguments hold the mark. Tests
// look for processes by other means than the engine does.
func marked(t testing.TB, mark string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err != nil || pid == os.Getpid() {
			continue
		}
		args, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && bytes.Contains(args, []byte(mark)) {
			found = append(found, entry.Name()+" "+string(bytes.ReplaceAll(args, []byte{0}, []byte(" "))))
		}
	}
	return found
}

// mark returns a number of seconds for sleep that no other test uses.
func mark(n int) string { return fmt.Sprintf("86400.%d%d", os.Getpid(), n) }

// executeUntil runs the command in the background, and returns when its output
// holds so many lines.
func executeUntil(t testing.TB, e *shim.Engine, cmd exec.Command, lines int) <-chan exec.Result {
	t.Helper()
	workspace := t.TempDir()
	ready, results := make(chan struct{}), make(chan exec.Result, 1)
	go func() {
		seen := 0
		result, err := e.Execute(context.Background(), workspace, cmd, func(batch []exec.Line) error {
			if seen += len(batch); seen >= lines && seen-len(batch) < lines {
				close(ready)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		results <- result
	}()
	select {
	case <-ready:
	case <-time.After(deadline):
		t.Fatal("the command did not get ready")
	}
	return results
}

func TestKill(t *testing.T) {
	e := openEngine(t, t.TempDir(), nil)
	ctx := context.Background()

	t.Run("CancelReachesDetachedDescendants", func(t *testing.T) {
		is := is.New(t)
		sleep := "sleep " + mark(1)
		script := strings.Join([]string{
			"setsid " + sleep + " &",                                  // a session of its own
			"(setsid sh -c '" + sleep + " & " + sleep + " & wait' &)", // a double fork, then a session
			"env -i setsid " + sleep + " &",                           // no cookie either
			"setsid " + sleep + " >/dev/null 2>&1 </dev/null &",       // and no pipes
			"(trap '' TERM; " + sleep + ") &",                         // deaf to TERM
			sleep + " & echo ready; wait",
		}, "\n")
		cmd := shell("tree", script)
		cmd.Grace = 50 * time.Millisecond
		results := executeUntil(t, e, cmd, 1)
		for start := time.Now(); len(marked(t, sleep[6:])) < 8; time.Sleep(10 * time.Millisecond) {
			if time.Since(start) > deadline {
				t.Fatal("tree is not complete: ", marked(t, sleep[6:]))
			}
		}
		is.NoErr(e.Cancel(ctx, "tree"))
		is.Equal(len(marked(t, sleep[6:])), 0)
		result := <-results
		is.Equal(result.Reason, exec.Canceled)
		is.Equal(len(result.Survivors), 0)
		is.NoErr(e.Cancel(ctx, "tree")) // idempotent
		is.NoErr(e.Cancel(ctx, "unknown"))
	})

	t.Run("TimeoutEndsTheCommand", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("timeout", "trap '' TERM; while :; do sleep "+mark(2)+"; done")
		cmd.Timeout, cmd.Grace = 2*time.Second, 100*time.Millisecond
		_, result, err := run(t, e, cmd)
		is.NoErr(err)
		is.Equal(result.Reason, exec.TimedOut)
		is.Equal(result.ExitCode, -1)
		is.Equal(result.Signal, "SIGKILL")
		is.True(result.Duration >= 2100*time.Millisecond)
		is.Equal(len(marked(t, mark(2))), 0)
	})

	t.Run("ChildrenThatHoldTheOutputAreKilledAfterTheLinger", func(t *testing.T) {
		is := is.New(t)
		out, result, err := run(t, e, shell("linger", "setsid sleep "+mark(3)+" & echo hi; exit 5"))
		is.NoErr(err)
		is.Equal(result.ExitCode, 5)
		is.Equal(result.Reason, exec.Exited)
		is.Equal(string(out.bytes(exec.Stdout)), "hi\n")
		is.True(result.Duration >= time.Second)
		is.Equal(len(marked(t, mark(3))), 0)
	})

	t.Run("ChildrenThatEndInTimeAreHeard", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), &shim.Options{Linger: deadline})
		out, _, err := run(t, e, shell("late", "(sleep 0.1; echo late) & echo early"))
		is.NoErr(err)
		is.Equal(string(out.bytes(exec.Stdout)), "early\nlate\n")
	})

	t.Run("SilentChildrenThatOutliveTheCommandAreKilled", func(t *testing.T) {
		is := is.New(t)
		for i := range 20 {
			_, result, err := run(t, e, shell(fmt.Sprint("daemon-", i),
				"(setsid sleep "+mark(4)+" >/dev/null 2>&1 </dev/null &) ; sleep "+mark(4)+" >/dev/null 2>&1 &"))
			is.NoErr(err)
			is.Equal(result.ExitCode, 0)
			is.Equal(marked(t, mark(4)), nil)
		}
	})

	t.Run("AForkingTreeDiesToo", func(t *testing.T) {
		is := is.New(t)
		script := "export M=" + mark(5) + "; f='sleep $M & setsid sh -c \"$f\" x$M & sleep 0.01; sh -c \"$f\" x$M'; export f; echo up; sh -c \"$f\" x$M"
		script = strings.ReplaceAll(script, "f='", "f='n=$((${n:-0}+1)); export n; [ $n -gt 6 ] && exec sleep $M; ")
		cmd := shell("forks", script)
		cmd.Grace = -1
		results := executeUntil(t, e, cmd, 1)
		is.NoErr(e.Cancel(ctx, "forks"))
		is.Equal(marked(t, mark(5)), nil)
		is.Equal((<-results).Reason, exec.Canceled)
	})

	t.Run("AProcessWhoseFirstThreadHasEndedDiesToo", func(t *testing.T) {
		is := is.New(t)
		h := newHelper(t)
		_, result, err := run(t, e, h.shell("thread", "threads", "setsid $HELPER >/dev/null 2>&1 </dev/null &", "exit 4"))
		is.NoErr(err)
		is.Equal(result.ExitCode, 4)
		is.Equal(len(result.Survivors), 0)
		is.True(!oddproc.LivesOn(h.pid()))
	})

	t.Run("ACancelReachesAProcessWhoseFirstThreadHasEnded", func(t *testing.T) {
		is := is.New(t)
		h := newHelper(t)
		cmd := h.shell("thread-cancel", "threads", "env -i "+helperVariable+"=threads setsid $HELPER >/dev/null 2>&1 </dev/null &", "echo up; sleep "+mark(6))
		cmd.Grace = -1
		results := executeUntil(t, e, cmd, 1)
		is.NoErr(e.Cancel(ctx, "thread-cancel"))
		is.Equal(len((<-results).Survivors), 0)
		is.True(!oddproc.LivesOn(h.pid()))
	})

	t.Run("AProcessThatShowsNothingIsReported", func(t *testing.T) {
		is := is.New(t)
		h := newHelper(t)
		_, result, err := run(t, e, h.shell("faceless", "faceless", "setsid $HELPER >/dev/null 2>&1 </dev/null &", "exit 3"))
		is.NoErr(err)
		is.Equal(result.ExitCode, 3)
		is.Equal(result.Survivors, []int{h.pid()}) // it can be the command's
		time.Sleep(20 * time.Millisecond)          // the clock of process starts ticks 100 times a second
		_, result, err = run(t, e, shell("faced", "sleep 0.1"))
		is.NoErr(err)
		is.Equal(result.Survivors, nil) // it cannot: it is older
	})

	t.Run("ASignalFromElsewhereIsNoCancel", func(t *testing.T) {
		is := is.New(t)
		_, result, err := run(t, e, shell("segv", "kill -SEGV $$"))
		is.NoErr(err)
		is.Equal(result.Reason, exec.Exited)
		is.Equal(result.ExitCode, -1)
		is.Equal(result.Signal, "SIGSEGV")
	})

	t.Run("ASignalWithoutANameHasItsNumber", func(t *testing.T) {
		is := is.New(t)
		_, result, err := run(t, e, shell("realtime", "kill -34 $$"))
		is.NoErr(err)
		is.Equal(result.ExitCode, -1)
		is.Equal(result.Signal, "SIG34")
	})

	t.Run("NoProcessIsLeftToReap", func(t *testing.T) {
		is := is.New(t)
		_, _, err := run(t, e, shell("reap", "true"))
		is.NoErr(err)
		is.True(!slices.ContainsFunc(children(t), func(state string) bool { return state == "Z" }))
	})
}

// children returns the states of this process's children.
func children(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if fields[1] == strconv.Itoa(os.Getpid()) {
			states = append(states, fields[0])
		}
	}
	return states
}
