package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for what must happen. It is spent only
// where something is wrong.
const patience = time.Minute

// TestScript runs testdata/script: a server and a command line as real
// processes, with a home folder of their own and a port that was free.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("DATA", filepath.Join(home, ".local", "share", "rdev"))
			env.Setenv("RDEV_ADDR", freeAddr(t))
			env.Setenv("METRICS", freeAddr(t))
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  scriptExits,
			"ready":  scriptReady,
			"until":  scriptUntil,
			"signal": scriptSignal,
			"setenv": scriptSetenv,
			"gone":   scriptGone,
		},
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
	})
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// exits CODE PROGRAM [ARGUMENT…]: the program ends with exactly that code.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [argument…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := exitOf(ts, ts.Exec(args[1], args[2:]...))
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func exitOf(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Fatalf("%v", err)
	return -1
}

// ready [DATA-FOLDER]: the server of the folder answers.
func scriptReady(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.Getenv("DATA")
	if len(args) > 0 {
		dir = ts.MkAbs(args[0])
	}
	wait(ts, "the server answers", func() bool {
		url := endpoint(dir)
		if url == "" {
			return false
		}
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// until REGEXP PROGRAM [ARGUMENT…]: sooner or later the program prints that.
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until regexp program [argument…]")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	wait(ts, args[0], func() bool {
		_ = ts.Exec(args[1], args[2:]...)
		return want.MatchString(ts.ReadFile("stdout"))
	})
}

// signal NAME WORD: the process in the background that has the word among its
// arguments gets the signal.
func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	if neg || len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal INT|TERM|KILL word")
	}
	for _, cmd := range slices.Backward(ts.BackgroundCmds()) {
		if slices.Contains(cmd.Args, args[1]) {
			ts.Check(cmd.Process.Signal(signals[args[0]]))
			return
		}
	}
	ts.Fatalf("no process has the argument %s", args[1])
}

// setenv NAME: the variable gets the first word of the last standard output.
func scriptSetenv(ts *testscript.TestScript, neg bool, args []string) {
	words := strings.Fields(ts.ReadFile("stdout"))
	if neg || len(args) != 1 || len(words) == 0 {
		ts.Fatalf("usage: setenv name, after a command that has printed a word")
	}
	ts.Setenv(args[0], words[0])
}

// gone FILE: the process whose id is in the file has ended, or soon does. One
// that nobody has collected yet has ended, too.
func scriptGone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gone file")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	wait(ts, "the process is gone", func() bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || strings.Contains(string(status), "State:\tZ")
	})
}

func wait(ts *testscript.TestScript, what string, done func() bool) {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("it does not come to: %s", what)
		}
	}
}
