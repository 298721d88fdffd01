package shim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// An execute is Engine.Execute, here or behind a connection.
type execute func(ctx context.Context, workspace string, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error)

// TestResume: what may have been started before is started where it certainly
// was not, and nowhere else.
func TestResume(t *testing.T) {
	t.Run("Engine", func(t *testing.T) {
		testResume(t, func(_ *testing.T, e *shim.Engine) execute { return e.Execute })
	})
	t.Run("Client", func(t *testing.T) {
		testResume(t, func(t *testing.T, e *shim.Engine) execute {
			return newClient(t, shim.ClientConfig{Dial: dialer("unix", serveUnix(t, e, nil))}).Execute
		})
	})
}

// resumed returns a command that leaves a mark in its workspace.
func resumed(t *testing.T, instance string) (workspace string, cmd exec.Command) {
	cmd = shell("resumed", "echo ran >>effects; exit 5")
	cmd.Resume, cmd.Target.Instance = true, instance
	return t.TempDir(), cmd
}

// effects returns the marks in a workspace.
func effects(t *testing.T, workspace string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(workspace, "effects"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

func testResume(t *testing.T, reach func(*testing.T, *shim.Engine) execute) {
	ctx := context.Background()

	t.Run("WhatTheEngineNeverHadIsStarted", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		execute := reach(t, e)
		workspace, cmd := resumed(t, e.Incarnation())
		for range 2 { // the second time it is followed
			result, err := execute(ctx, workspace, cmd, discard)
			is.NoErr(err)
			is.Equal(result.ExitCode, 5)
			is.Equal(effects(t, workspace), "ran\n")
		}
	})

	t.Run("AnEngineOfWhichNothingIsSaidStartsNothing", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		before := openEngine(t, dir, nil)
		earlier := before.Incarnation()
		is.NoErr(before.Close(ctx))
		e := openEngine(t, dir, nil)
		execute := reach(t, e)
		for _, instance := range []string{"", e.Instance(), earlier} {
			workspace, cmd := resumed(t, instance)
			_, err := execute(ctx, workspace, cmd, discard)
			is.True(errors.Is(err, exec.ErrOutcomeUnknown))
			is.Equal(effects(t, workspace), "")
		}
		workspace, cmd := resumed(t, earlier)
		cmd.Resume = false // it was certainly not started, and the folder is the same
		_, err := execute(ctx, workspace, cmd, discard)
		is.NoErr(err)
		is.Equal(effects(t, workspace), "ran\n")
	})

	t.Run("AnotherFolderIsLost", func(t *testing.T) {
		is := is.New(t)
		e, other := openEngine(t, t.TempDir(), nil), openEngine(t, t.TempDir(), nil)
		workspace, cmd := resumed(t, other.Incarnation())
		_, err := reach(t, e)(ctx, workspace, cmd, discard)
		is.True(errors.Is(err, exec.ErrLost))
	})

	t.Run("WhatWasForgottenIsNotStarted", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		execute := reach(t, e)
		workspace, cmd := resumed(t, e.Incarnation())
		_, err := execute(ctx, workspace, cmd, discard)
		is.NoErr(err)
		is.NoErr(e.Forget(cmd.ID))
		_, err = execute(ctx, workspace, cmd, discard)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown))
		is.Equal(effects(t, workspace), "ran\n")
		cmd.Resume = false // nor for somebody who comes late
		_, err = execute(ctx, workspace, cmd, discard)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown))
		is.Equal(effects(t, workspace), "ran\n")
	})

	t.Run("WhatWasDeletedForItsAgeIsNotStarted", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), &shim.Options{Retention: 50 * time.Millisecond})
		execute := reach(t, e)
		workspace, cmd := resumed(t, e.Incarnation())
		_, err := execute(ctx, workspace, cmd, discard)
		is.NoErr(err)
		is.True(settles(func() bool { _, ended := e.Count(); return ended == 0 }))
		_, err = execute(ctx, workspace, cmd, discard)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown))
		is.Equal(effects(t, workspace), "ran\n")
	})

	t.Run("WhatIsToEndIsNotStarted", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		execute := reach(t, e)
		workspace, cmd := resumed(t, e.Incarnation())
		ended, end := context.WithCancel(ctx)
		end()
		_, err := execute(ended, workspace, cmd, discard)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown))
		is.True(!errors.Is(err, exec.ErrNotStarted))
		is.Equal(effects(t, workspace), "")
	})

	t.Run("WhatRunsIsEnded", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		execute := reach(t, e)
		cmd := shell("runs", "echo up; sleep 300")
		_, err := execute(ctx, t.TempDir(), cmd, func([]exec.Line) error { return exec.ErrDetached })
		is.True(errors.Is(err, exec.ErrDetached))
		cmd.Resume = true
		ended, end := context.WithCancel(ctx)
		end()
		// It needs no folder any more.
		result, err := execute(ended, filepath.Join(t.TempDir(), "gone"), cmd, discard)
		is.NoErr(err)
		is.Equal(result.Reason, exec.Canceled)
	})
}

func TestResumeWithoutAConnectionSaysNothing(t *testing.T) {
	is := is.New(t)
	c := newClient(t, shim.ClientConfig{
		Dial:     func(context.Context) (io.ReadWriteCloser, error) { return nil, errors.New("no way") },
		Patience: 50 * time.Millisecond,
	})
	cmd := command("somewhere", "true")
	cmd.Resume = true
	_, err := c.Execute(context.Background(), t.TempDir(), cmd, discard)
	is.True(errors.Is(err, exec.ErrNotStarted))
	is.True(!errors.Is(err, exec.ErrOutcomeUnknown)) // it can still be known
}

// TestResumeAsksAnotherServerOnlyToFollow: one that has no name, because it is
// older, does not even know what Resume is.
func TestResumeAsksAnotherServerOnlyToFollow(t *testing.T) {
	is := is.New(t)
	asked := make(chan []byte, 1)
	c := newClient(t, shim.ClientConfig{Dial: fakeServer(func(conn net.Conn) {
		_ = shim.WritePacket(conn, shim.KindHello, 0, shim.Hello(1, 1, "folder", false))
		_, channel, request, _ := shim.ReadPacket(conn)
		asked <- request
		_ = shim.WritePacket(conn, shim.KindFailure, channel, []byte(`{"message":"m","codes":["unknown_command"]}`))
		_, _ = io.Copy(io.Discard, conn)
	})})
	cmd := command("somewhere", "true")
	cmd.Resume, cmd.Target.Instance = true, "folder"
	_, err := c.Execute(context.Background(), t.TempDir(), cmd, discard)
	is.True(errors.Is(err, exec.ErrOutcomeUnknown))
	is.Equal((<-asked)[:2], []byte{1, 1}) // the last part; do not start it
}

func TestForgottenIDsAreNeverNew(t *testing.T) {
	is := is.New(t)
	add, mayHave, hasLate := shim.Forgets()
	id := func(n int) string { return fmt.Sprintf("cmd-%d", n) }
	is.True(!mayHave(id(0)) && !hasLate(id(0)))
	const count, late = 100_000, 4096
	for n := range count {
		add(id(n))
		add(id(n)) // does not count twice
	}
	wrong := 0
	for n := range count {
		is.True(mayHave(id(n)))
		is.Equal(hasLate(id(n)), n >= count-late)
		is.True(!hasLate(id(count + n))) // never one for another
		if mayHave(id(count + n)) {
			wrong++
		}
	}
	is.True(wrong < count/50) // about one in a hundred
}
