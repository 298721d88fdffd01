package shim_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

func TestStart(t *testing.T) {
	state := t.TempDir()
	e := openEngine(t, state, &shim.Options{Env: []string{"PATH=/usr/bin:/bin", "BASE=base", "OVER=base"}})
	ctx := context.Background()

	workspace := t.TempDir()
	outside := t.TempDir()
	is := is.New(t)
	is.NoErr(os.MkdirAll(filepath.Join(workspace, "sub/deep"), 0o755))
	is.NoErr(os.Symlink("sub/deep", filepath.Join(workspace, "inside")))
	is.NoErr(os.Symlink(outside, filepath.Join(workspace, "escape")))
	for name, text := range map[string]string{
		"plain":   "text",
		"garbage": "\x00\x01\x02 no program",
		"orphan":  "#!/no/such/interpreter\n",
		"tool":    "#!/bin/sh\necho tool $0\n",
	} {
		is.NoErr(os.WriteFile(filepath.Join(workspace, name), []byte(text), 0o755))
	}
	is.NoErr(os.Chmod(filepath.Join(workspace, "plain"), 0o644))

	for _, test := range []struct {
		name string
		argv []string
		want error
	}{
		{"AMissingProgramIsNotFound", []string{"no-such-program"}, exec.ErrProgramNotFound},
		{"AMissingPathIsNotFound", []string{"./no-such-program"}, exec.ErrProgramNotFound},
		{"AFileWithoutPermissionIsNotExecutable", []string{"./plain"}, exec.ErrNotExecutable},
		{"AFolderIsNotExecutable", []string{"./sub"}, exec.ErrNotExecutable},
		{"AFileOfNoFormatIsNotExecutable", []string{"./garbage"}, exec.ErrNotExecutable},
		{"AMissingInterpreterIsNotExecutable", []string{"./orphan"}, exec.ErrNotExecutable},
	} {
		t.Run(test.name, func(t *testing.T) {
			is := is.New(t)
			cmd := command(strings.ToLower(test.name), test.argv...)
			_, err := e.Execute(ctx, workspace, cmd, discard)
			is.True(errors.Is(err, test.want))
			_, again := e.Execute(ctx, workspace, cmd, discard)
			is.True(errors.Is(again, test.want)) // the same for ever
			is.Equal(again.Error(), err.Error())
		})
	}

	for name, dir := range map[string]string{
		"AMissingFolderIsAFieldError":     "nothing",
		"AFileAsFolderIsAFieldError":      "plain",
		"ALinkOutOfTheWorkspaceIsRefused": "escape",
		"APathOutOfTheWorkspaceIsRefused": "../" + filepath.Base(outside),
		"AnAbsolutePathIsRefused":         workspace + "/sub",
		"AWayOutAndBackInIsRefused":       "../" + filepath.Base(workspace),
		"ALinkOutsideWithAPathIsRefused":  "escape/..",
		"AFolderBelowAFileIsAFieldError":  "plain/x",
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			cmd := shell("dir", "true")
			cmd.Dir = dir
			_, err := e.Execute(ctx, workspace, cmd, discard)
			var field *exec.FieldError
			is.True(errors.As(err, &field))
			is.Equal(field.Field, "dir")
			_, statErr := os.Stat(filepath.Join(state, "v1", "dir"))
			is.True(os.IsNotExist(statErr)) // nothing was claimed
		})
	}

	t.Run("ALinkWithinTheWorkspaceIsFollowed", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("link", "pwd -P; echo $PWD")
		cmd.Dir = "inside"
		var out output
		_, err := e.Execute(ctx, workspace, cmd, out.sink)
		is.NoErr(err)
		real, err := filepath.EvalSymlinks(filepath.Join(workspace, "sub/deep"))
		is.NoErr(err)
		is.Equal(string(out.bytes(exec.Stdout)), real+"\n"+real+"\n")
	})

	t.Run("ARelativeProgramIsTakenFromTheWorkingFolder", func(t *testing.T) {
		is := is.New(t)
		cmd := command("relative", "../tool")
		cmd.Dir = "sub"
		_, result, err := runIn(t, e, workspace, cmd)
		is.NoErr(err)
		is.Equal(result.ExitCode, 0)
	})

	t.Run("TheProgramIsSearchedInTheCommandsOwnPath", func(t *testing.T) {
		is := is.New(t)
		cmd := command("path", "tool")
		cmd.Env = map[string]string{"PATH": "/nowhere:" + workspace + ":/bin:/usr/bin"}
		_, result, err := runIn(t, e, workspace, cmd)
		is.NoErr(err)
		is.Equal(result.ExitCode, 0)
	})

	t.Run("TheEnvironmentIsBaseThenCommand", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("env", `echo $BASE $OVER $MINE $RDEV_COMMAND_ID`)
		cmd.Env = map[string]string{"OVER": "own", "MINE": "mine", "RDEV_COMMAND_ID": "forged"}
		out, _, err := runIn(t, e, workspace, cmd)
		is.NoErr(err)
		is.Equal(string(out.bytes(exec.Stdout)), "base own mine env\n")
	})

	t.Run("SecretsAreNotWrittenToTheState", func(t *testing.T) {
		is := is.New(t)
		cmd := shell("secret", "cat >/dev/null")
		cmd.Env = map[string]string{"TOKEN": "hunter2-env"}
		cmd.Stdin = []byte("hunter2-stdin")
		_, _, err := runIn(t, e, workspace, cmd)
		is.NoErr(err)
		entries, err := os.ReadDir(filepath.Join(state, "v1", "secret"))
		is.NoErr(err)
		is.True(len(entries) > 0)
		for _, entry := range entries {
			data, err := os.ReadFile(filepath.Join(state, "v1", "secret", entry.Name()))
			is.NoErr(err)
			is.True(!strings.Contains(string(data), "hunter2"))
		}
	})

	t.Run("AMissingWorkspaceIsNotReady", func(t *testing.T) {
		is := is.New(t)
		_, err := e.Execute(ctx, filepath.Join(workspace, "missing"), shell("ws", "true"), discard)
		is.True(errors.Is(err, exec.ErrTargetNotReady))
	})

	t.Run("AnEndedContextStartsNothing", func(t *testing.T) {
		is := is.New(t)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err := e.Execute(ended, workspace, shell("ended", "true"), discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
	})
}

func TestOpen(t *testing.T) {
	t.Run("AFolderBelongsToOneEngine", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		openEngine(t, dir, nil)
		_, err := shim.Open(dir, nil)
		is.True(errors.Is(err, shim.ErrInUse))
	})

	t.Run("EndedCommandsAreRememberedByTheNextEngine", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		first := openEngine(t, dir, nil)
		cmd, missing := shell("kept", "seq 1 5; exit 9"), command("missing", "no-such-program")
		_, result, err := run(t, first, cmd)
		is.NoErr(err)
		_, _, errMissing := run(t, first, missing)
		instance := first.Instance()
		is.NoErr(first.Close(context.Background()))
		_, err = first.Execute(context.Background(), dir, shell("late", "true"), discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
		is.True(errors.Is(err, shim.ErrClosed))

		second := openEngine(t, dir, nil)
		is.Equal(second.Instance(), instance)
		cmd.After = 2
		out, again, err := run(t, second, cmd)
		is.NoErr(err)
		is.Equal(string(out.bytes(exec.Stdout)), "3\n4\n5\n")
		is.True(again.Started.Equal(result.Started) && again.Ended.Equal(result.Ended))
		again.Started, again.Ended = result.Started, result.Ended
		is.Equal(again, result)
		_, _, err = run(t, second, missing)
		is.True(errors.Is(err, exec.ErrProgramNotFound))
		is.Equal(err.Error(), errMissing.Error())
	})

	t.Run("AnOutputThatIsGoneIsNoResult", func(t *testing.T) {
		is := is.New(t)
		for name, damage := range map[string]func(path string) error{
			"cut":     func(path string) error { return os.Truncate(path, 100) },
			"removed": os.Remove,
			"changed": func(path string) error { return os.WriteFile(path, make([]byte, 500), 0o600) },
		} {
			dir := t.TempDir()
			e := openEngine(t, dir, nil)
			cmd := shell("damaged", "seq 1 1000")
			_, _, err := run(t, e, cmd)
			is.NoErr(err)
			is.NoErr(e.Close(context.Background()))
			segments, err := filepath.Glob(filepath.Join(dir, "v1/damaged/*.seg"))
			is.NoErr(err)
			is.Equal(len(segments), 1)
			is.NoErr(damage(segments[0]))
			e = openEngine(t, dir, nil)
			_, _, err = run(t, e, cmd)
			if !errors.Is(err, exec.ErrLost) {
				t.Error(name, err)
			}
		}
	})

	t.Run("AWipedFolderIsAnotherInstance", func(t *testing.T) {
		is := is.New(t)
		dir := filepath.Join(t.TempDir(), "state")
		first := openEngine(t, dir, nil)
		is.NoErr(first.Close(context.Background()))
		is.NoErr(os.RemoveAll(dir))
		is.True(openEngine(t, dir, nil).Instance() != first.Instance())
	})

	t.Run("CloseCancelsWhatRuns", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		results := make(chan exec.Result, 1)
		started := make(chan struct{})
		workspace := t.TempDir()
		go func() {
			result, _ := e.Execute(context.Background(), workspace, shell("closing", "trap '' TERM; echo up; while :; do sleep 0.05; done"),
				func([]exec.Line) error { close(started); return nil })
			results <- result
		}()
		<-started
		ended, cancel := context.WithCancel(context.Background())
		cancel() // no patience
		is.True(errors.Is(e.Close(ended), context.Canceled))
		result := <-results
		is.Equal(result.Reason, exec.Canceled)
		is.Equal(result.Signal, "SIGKILL")
	})
}
