package shim_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// TestRetention: where there are too many ended commands, or too much output, no
// command runs again because it was forgotten before anybody knew of its end.
func TestRetention(t *testing.T) {
	// leave starts a command that leaves a trace each time that it runs, and does
	// not stay to see its end.
	leave := func(t *testing.T, e *shim.Engine, workspace, id, script string) exec.Command {
		t.Helper()
		cmd := shell(id, fmt.Sprintf("echo up; while [ ! -e go-%s ]; do sleep 0.01; done; echo ran >>ran-%s; %s", id, id, script))
		_, err := e.Execute(context.Background(), workspace, cmd, func([]exec.Line) error { return exec.ErrDetached })
		if !errors.Is(err, exec.ErrDetached) {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(workspace, "go-"+id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if !settles(func() bool { running, _ := e.Count(); return running == 0 }) {
			t.Fatal("it does not end")
		}
		return cmd
	}
	ran := func(workspace, id string) int {
		data, _ := os.ReadFile(filepath.Join(workspace, "ran-"+id))
		return strings.Count(string(data), "ran")
	}

	segments := func(state, id string) int {
		paths, _ := filepath.Glob(filepath.Join(state, "v1", id, "*.seg"))
		return len(paths)
	}

	t.Run("OutputThatNobodySawIsLostAndTheCommandKnown", func(t *testing.T) {
		is := is.New(t)
		workspace := t.TempDir()
		state := t.TempDir()
		options := shim.ForgetAfter(shim.Options{MaxEndedBytes: 100_000}, time.Nanosecond)
		e := openEngine(t, state, options)
		cmd := leave(t, e, workspace, "left", "seq 1000000 1030000")
		is.True(settles(func() bool { return segments(state, "left") == 0 }))
		for range 2 {
			var out output
			_, err := e.Execute(context.Background(), workspace, cmd, out.sink)
			is.True(errors.Is(err, exec.ErrLost))
			is.Equal(len(out.lines), 0)
			is.Equal(ran(workspace, "left"), 1)
			is.NoErr(e.Close(context.Background()))
			e = openEngine(t, state, options)
		}
		// Who has all lines is told how it ended.
		cmd.After = 30_002
		_, result, err := runIn(t, e, workspace, cmd)
		is.NoErr(err)
		is.Equal(result.Lines, uint64(30_002))
		// And now it is of the past.
		cmd.After = 0
		_, _, err = runIn(t, e, workspace, shell("other", "seq 1000000 1030000"))
		is.NoErr(err)
		is.True(settles(func() bool { _, ended := e.Count(); return ended == 0 }))
	})

	t.Run("OutputThatWasSeenGoesFirst", func(t *testing.T) {
		is := is.New(t)
		workspace := t.TempDir()
		state := t.TempDir()
		e := openEngine(t, state, &shim.Options{MaxEndedBytes: 500_000})
		cmd := leave(t, e, workspace, "left", "seq 1000000 1030000")
		for i := range 3 {
			_, _, err := runIn(t, e, workspace, shell(fmt.Sprint("seen-", i), "seq 1000000 1020000"))
			is.NoErr(err)
		}
		is.True(settles(func() bool { return segments(state, "seen-0") == 0 }))
		_, _, err := runIn(t, e, workspace, shell("seen-0", "seq 1000000 1020000"))
		is.True(errors.Is(err, exec.ErrLost))
		_, result, err := runIn(t, e, workspace, cmd)
		is.NoErr(err)
		is.Equal(result.Lines, uint64(30_002))
		is.Equal(ran(workspace, "left"), 1)
	})

	t.Run("EndsThatNobodyWasToldOfAreKeptLonger", func(t *testing.T) {
		is := is.New(t)
		workspace := t.TempDir()
		const most = 3
		e := openEngine(t, t.TempDir(), shim.ForgetAfter(shim.Options{MaxEnded: most}, time.Nanosecond))
		for i := range 2 * most {
			leave(t, e, workspace, fmt.Sprint("left-", i), "exit 3")
			_, _, err := runIn(t, e, workspace, shell(fmt.Sprint("seen-", i), "true"))
			is.NoErr(err)
		}
		// Of the others none is left.
		is.True(settles(func() bool { _, ended := e.Count(); return ended == 2*most }))
		for i := range 6 * most {
			leave(t, e, workspace, fmt.Sprint("more-", i), "exit 3")
		}
		// They are not kept without any bound either.
		is.True(settles(func() bool { _, ended := e.Count(); return ended < 4*(most+1) }))
		_, ended := e.Count()
		is.True(ended >= 4*most)
	})

	t.Run("EachIsKnownForAMinute", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), &shim.Options{MaxEnded: 1, MaxEndedBytes: 1})
		workspace := t.TempDir()
		for i := range 5 {
			_, _, err := runIn(t, e, workspace, shell(fmt.Sprint("n-", i), "echo ran >>ran-n"))
			is.NoErr(err)
		}
		time.Sleep(500 * time.Millisecond) // what is to be deleted is
		for i := range 5 {
			_, _, err := runIn(t, e, workspace, shell(fmt.Sprint("n-", i), "echo ran >>ran-n"))
			is.NoErr(err)
		}
		is.Equal(ran(workspace, "n"), 5)
	})
}
