package local_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/local"
	"github.com/orchard9/rdev/exec/shim/daemon"
)

// The variables that make the test binary something else: the program with the
// daemon's commands, or a server that follows one command.
const (
	programVariable  = "LOCAL_TEST_PROGRAM"
	followerVariable = "LOCAL_TEST_FOLLOWER"
)

// other runs what the test binary is instead of its tests, if anything.
func other() (code int, ok bool) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == programVariable:
		p := daemon.Program{Self: program(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
		if err := p.Run(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1, true
		}
		return 0, true
	case os.Getenv(followerVariable) != "":
		return follower(os.Getenv(followerVariable)), true
	}
	return 0, false
}

func program() []string { return []string{os.Args[0], programVariable} }

// newDaemonExecutor returns an Executor with a daemon, and its state folder.
func newDaemonExecutor(t testing.TB, leave bool) (*local.Executor, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() { endDaemon(t, dir) })
	return openDaemonExecutor(t, dir, leave), dir
}

func openDaemonExecutor(t testing.TB, dir string, leave bool) *local.Executor {
	t.Helper()
	x, err := local.New(local.Config{
		Dir:     dir,
		Targets: local.Folders(map[string]string{"here": filepath.Dir(dir)}),
		Env:     []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "MINE=yes"},
		Linger:  4 * time.Second,
		Shim:    &local.Shim{Command: program(), Leave: leave},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeExecutor(t, x) })
	return x
}

func closeExecutor(t testing.TB, x *local.Executor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := x.Close(ctx); err != nil {
		t.Error(err)
	}
}

// endDaemon waits until no daemon has the folder any more. It asks one to end
// that was to stay.
func endDaemon(t testing.TB, dir string) {
	t.Helper()
	if pid := daemonPID(dir); pid > 0 {
		closeExecutor(t, openDaemonExecutor(t, dir, false))
	}
	for start := time.Now(); daemonPID(dir) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Errorf("daemon %d does not end", daemonPID(dir))
			return
		}
	}
}

// daemonPID finds the daemon of the folder among all processes.
func daemonPID(dir string) int {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		data, _ := os.ReadFile(path)
		args := bytes.Split(data, []byte{0})
		for i, arg := range args {
			if string(arg) == "--ready" && i+2 < len(args) && string(args[i+2]) == dir {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				return pid
			}
		}
	}
	return 0
}

func TestDaemonContract(t *testing.T) {
	// One daemon for all: its start is the subject of other tests.
	x, _ := newDaemonExecutor(t, false)
	exectest.Run(t, func(*testing.T) exectest.Subject {
		return exectest.Subject{Executor: x, Target: exec.Target{Name: "here"}}
	})
}

func TestDaemon(t *testing.T) {
	ctx := context.Background()
	nothing := func([]exec.Line) error { return nil }
	command := func(id, script string) exec.Command {
		return exec.Command{ID: id, Target: exec.Target{Name: "here"}, Argv: []string{"sh", "-c", script}}
	}
	text := func(is *is.I, x *local.Executor, cmd exec.Command) string {
		is.Helper()
		var b strings.Builder
		_, err := x.Execute(ctx, cmd, func(lines []exec.Line) error {
			for _, l := range lines {
				b.Write(l.Data)
			}
			return nil
		})
		is.NoErr(err)
		return b.String()
	}

	t.Run("CommandsSeeTheExecutorsEnvironment", func(t *testing.T) {
		is := is.New(t)
		x, _ := newDaemonExecutor(t, false)
		is.Equal(text(is, x, command("env", `echo "$MINE"`)), "yes")
	})

	t.Run("AKilledServersCommandGoesOn", func(t *testing.T) {
		is := is.New(t)
		dir := filepath.Join(t.TempDir(), "state")
		t.Cleanup(func() { endDaemon(t, dir) })
		// Killed in the middle, twice, and each time another one goes on from
		// the last line of the one before.
		last, result := uint64(0), exec.Result{}
		for round := range 3 {
			last, result = followUntil(t, dir, last, round < 2)
		}
		is.Equal(last, uint64(3001))
		is.Equal(result.Lines, uint64(3001))
		is.Equal(result.ExitCode, 7)
		is.Equal(result.Reason, exec.Exited)
	})

	t.Run("CloseLeavesCommandsIfItMay", func(t *testing.T) {
		is := is.New(t)
		x, dir := newDaemonExecutor(t, true)
		cmd := command("leave", "echo up; while [ ! -e go ]; do sleep 0.02; done; exit 4")
		_, err := x.Execute(ctx, cmd, func([]exec.Line) error { return exec.ErrDetached })
		is.True(errors.Is(err, exec.ErrDetached))
		closeExecutor(t, x)
		is.NoErr(os.WriteFile(filepath.Join(filepath.Dir(dir), "go"), nil, 0o600))
		result, err := openDaemonExecutor(t, dir, true).Execute(ctx, cmd, nothing)
		is.NoErr(err)
		is.Equal(result.ExitCode, 4)
	})

	t.Run("WhatTheDaemonNeverHadIsStartedByTheNextServer", func(t *testing.T) {
		is := is.New(t)
		x, dir := newDaemonExecutor(t, true)
		cmd := command("recorded", "echo ran >>effects")
		target, err := x.Locate(ctx, "here")
		is.NoErr(err)
		cmd.Target, cmd.Resume = target, true
		closeExecutor(t, x) // it died before it could start the command
		x = openDaemonExecutor(t, dir, true)
		for range 2 {
			_, err = x.Execute(ctx, cmd, nothing)
			is.NoErr(err)
		}
		is.NoErr(x.Forget(ctx, cmd.Target, cmd.ID))
		_, err = x.Execute(ctx, cmd, nothing)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown))
		data, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "effects"))
		is.NoErr(err)
		is.Equal(string(data), "ran\n")
	})

	t.Run("CommandsOutliveTheirTarget", func(t *testing.T) {
		is := is.New(t)
		x, dir := newDaemonExecutor(t, true)
		target, err := x.Locate(ctx, "here")
		is.NoErr(err)
		begin := func(id, script string) exec.Command {
			cmd := command(id, script)
			cmd.Target = target
			_, err := x.Execute(ctx, cmd, func([]exec.Line) error { return exec.ErrDetached })
			is.True(errors.Is(err, exec.ErrDetached))
			cmd.Resume = true
			return cmd
		}
		follow := begin("follow", "echo up; while [ ! -e go ]; do sleep 0.02; done; exit 4")
		cancel, kill := begin("cancel", "echo up; sleep 600"), begin("kill", "trap '' TERM; echo up; sleep 600")
		closeExecutor(t, x)

		// A server that was started elsewhere, on the same data.
		elsewhere, err := local.New(local.Config{
			Dir:     dir,
			Targets: local.Folders(map[string]string{"there": t.TempDir()}),
			Shim:    &local.Shim{Command: program(), Leave: true},
		})
		is.NoErr(err)
		t.Cleanup(func() { closeExecutor(t, elsewhere) })
		is.NoErr(elsewhere.Cancel(ctx, cancel.Target, cancel.ID))
		is.NoErr(elsewhere.Kill(ctx, kill.Target, kill.ID))
		for _, cmd := range []exec.Command{cancel, kill} {
			result, err := elsewhere.Execute(ctx, cmd, nothing)
			is.NoErr(err)
			is.Equal(result.Reason, exec.Canceled)
		}
		is.NoErr(os.WriteFile(filepath.Join(filepath.Dir(dir), "go"), nil, 0o600))
		result, err := elsewhere.Execute(ctx, follow, nothing)
		is.NoErr(err)
		is.Equal(result.ExitCode, 4)
		is.NoErr(elsewhere.Forget(ctx, follow.Target, follow.ID))

		again := follow // it was started, and is not remembered
		_, err = elsewhere.Execute(ctx, again, nothing)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown))
		again.ID = "never" // it was not, and there is nowhere to start it
		_, err = elsewhere.Execute(ctx, again, nothing)
		is.True(errors.Is(err, exec.ErrTargetNotFound))
		again.Resume = false
		_, err = elsewhere.Execute(ctx, again, nothing)
		is.True(errors.Is(err, exec.ErrTargetNotFound))
	})

	t.Run("CloseCancelsCommandsAndEndsTheDaemon", func(t *testing.T) {
		is := is.New(t)
		x, dir := newDaemonExecutor(t, false)
		up, ended := make(chan struct{}), make(chan exec.Result, 1)
		go func() {
			result, _ := x.Execute(ctx, command("end", "echo up; sleep 600"), func([]exec.Line) error {
				close(up)
				return nil
			})
			ended <- result
		}()
		<-up
		closeExecutor(t, x)
		is.Equal((<-ended).Reason, exec.Canceled)
		endDaemon(t, dir)
	})

	t.Run("AKilledDaemonsCommandIsLostAndEndedOnesAreNot", func(t *testing.T) {
		is := is.New(t)
		x, dir := newDaemonExecutor(t, false)
		done := command("done", "seq 100; exit 3")
		_, err := x.Execute(ctx, done, nothing)
		is.NoErr(err)
		lines := 0
		_, err = x.Execute(ctx, command("lost", "echo up; sleep 600"), func(batch []exec.Line) error {
			if lines += len(batch); lines == 1 {
				kill(t, daemonPID(dir))
			}
			return nil
		})
		is.True(errors.Is(err, exec.ErrLost))
		is.Equal(lines, 1)
		result, err := x.Execute(ctx, done, nothing)
		is.NoErr(err)
		is.Equal(result.ExitCode, 3)
		is.Equal(result.Lines, uint64(100))
	})

	t.Run("ManyStartOneDaemon", func(t *testing.T) {
		is := is.New(t)
		dir := filepath.Join(t.TempDir(), "state")
		t.Cleanup(func() { endDaemon(t, dir) })
		pids := make(chan int, 8)
		for range cap(pids) {
			go func() {
				conn, err := daemon.Dial(ctx, dir, daemon.Start{Command: program()})
				if err != nil {
					t.Error(err)
					pids <- 0
					return
				}
				conn.Close()
				pids <- daemonPID(dir)
			}()
		}
		first := <-pids
		for range cap(pids) - 1 {
			is.Equal(<-pids, first)
		}
	})

	t.Run("AWrongProgramIsSaidAtOnce", func(t *testing.T) {
		is := is.New(t)
		_, err := local.New(local.Config{
			Dir:     t.TempDir(),
			Targets: local.Folders(nil),
			Shim:    &local.Shim{Command: []string{"/nowhere/rdev", "shim"}},
		})
		is.True(errors.Is(err, os.ErrNotExist))
	})

	t.Run("TheDaemonEndsWhenNobodyNeedsIt", func(t *testing.T) {
		is := is.New(t)
		dir := filepath.Join(t.TempDir(), "state")
		conn, err := daemon.Dial(ctx, dir, daemon.Start{Command: program(), IdleExit: 3 * time.Second})
		is.NoErr(err)
		is.NoErr(conn.Close())
		is.True(settles(func() bool { return daemonPID(dir) == 0 }))
	})

	t.Run("TheDaemonEndsWithItsFolder", func(t *testing.T) {
		is := is.New(t)
		dir := filepath.Join(t.TempDir(), "state")
		conn, err := daemon.Dial(ctx, dir, daemon.Start{Command: program()})
		is.NoErr(err)
		is.NoErr(conn.Close())
		// It may be making folders of commands to come meanwhile.
		is.True(settles(func() bool { return os.RemoveAll(dir) == nil }))
		is.True(settles(func() bool { return daemonPID(dir) == 0 }))
	})

	t.Run("ALongPathToTheFolderIsFine", func(t *testing.T) {
		is := is.New(t)
		dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30), "state")
		t.Cleanup(func() { endDaemon(t, dir) })
		x := openDaemonExecutor(t, dir, false)
		_, err := x.Locate(ctx, "here")
		is.NoErr(err)
	})
}

func settles(f func() bool) bool {
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if f() {
			return true
		}
	}
	return false
}

func kill(t testing.TB, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Error(err)
	}
}

// follower follows the command of followUntil and prints a line for each line
// that it was given, and the result.
func follower(dir string) int {
	x, err := local.New(local.Config{
		Dir:     dir,
		Targets: local.Folders(map[string]string{"here": filepath.Dir(dir)}),
		Shim:    &local.Shim{Command: program(), Leave: true},
	})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	cmd := exec.Command{
		ID:     "long",
		Target: exec.Target{Name: "here"},
		Argv:   []string{"sh", "-c", `echo ran >>ran; seq 1000; while [ ! -e two ]; do sleep 0.02; done; seq 1000; while [ ! -e three ]; do sleep 0.02; done; seq 1000; wc -l <ran; exit 7`},
	}
	cmd.After, _ = strconv.ParseUint(os.Getenv("LOCAL_TEST_AFTER"), 10, 64)
	result, err := x.Execute(context.Background(), cmd, func(lines []exec.Line) error {
		for _, l := range lines {
			fmt.Println("line", l.Seq, string(l.Data))
		}
		return nil
	})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	text, _ := json.Marshal(result)
	fmt.Println("result", string(text))
	return 0
}

// followUntil has another process follow the command after the given line, and
// kills it after a thousand lines more, or lets it see the end.
func followUntil(t testing.TB, dir string, after uint64, thenKill bool) (last uint64, result exec.Result) {
	t.Helper()
	if after > 0 { // what the command waits for before it goes on
		name := map[uint64]string{1000: "two", 2000: "three"}[after]
		if err := os.WriteFile(filepath.Join(filepath.Dir(dir), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), followerVariable+"="+dir, fmt.Sprint("LOCAL_TEST_AFTER=", after))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	defer func() { _ = cmd.Wait() }()
	last = after
	for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
		kind, rest, _ := strings.Cut(scanner.Text(), " ")
		switch kind {
		case "line":
			seq, data, _ := strings.Cut(rest, " ")
			want := fmt.Sprint(last%1000 + 1)
			if last == 3000 {
				want = "1" // it ran once
			}
			if last++; seq != fmt.Sprint(last) || data != want {
				t.Fatalf("got %q, want line %d to be %s", rest, last, want)
			}
			if thenKill && last == after+1000 {
				kill(t, cmd.Process.Pid)
				return last, exec.Result{}
			}
		case "result":
			if err := json.Unmarshal([]byte(rest), &result); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatal(scanner.Text())
		}
	}
	return last, result
}
