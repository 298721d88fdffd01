package shim_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/internal/oddproc"
)

// helperVariable makes the test binary one of the odd processes that commands
// leave behind, instead of running tests. It writes its process id to the file
// in its arguments when it is what it is to be, and ends when that file is gone.
const helperVariable = "SHIM_TEST_HELPER"

func help(name string) int {
	path := os.Args[1]
	switch name {
	case "threads":
		oddproc.EndFirstThread()
	case "undumpable": // as ssh-agent is
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return 1
		}
	case "nobody": // another user
		folder := filepath.Dir(path)
		if err := errors.Join(os.Chmod(folder, 0o777), os.Chmod(filepath.Dir(folder), 0o777), syscall.Setuid(65534)); err != nil {
			return 1
		}
	default:
		fmt.Fprintln(os.Stderr, "there is no helper", name)
		return 1
	}
	if err := os.WriteFile(path+".new", []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return 1
	}
	if err := os.Rename(path+".new", path); err != nil {
		return 1
	}
	for {
		if _, err := os.Stat(path); err != nil {
			return 0
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A helper is an odd process of a command.
type helper struct {
	t      testing.TB
	path   string
	binary string
}

func newHelper(t testing.TB) *helper {
	t.Helper()
	binary, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{t: t, path: filepath.Join(t.TempDir(), "pid"), binary: binary}
	t.Cleanup(func() {
		_ = os.Remove(h.path) // what was not killed ends
	})
	return h
}

// shell returns a command whose script runs the helper as $HELPER, and then goes
// on with the rest when that is there.
func (h *helper) shell(id, name, start, rest string) exec.Command {
	cmd := shell(id, start+"\nwhile [ ! -e "+h.path+" ]; do sleep 0.01; done; "+rest)
	cmd.Env = map[string]string{"HELPER": h.binary + " " + h.path, helperVariable: name}
	cmd.Timeout = deadline
	return cmd
}

// pid returns the id of the process, which has told it.
func (h *helper) pid() int {
	h.t.Helper()
	data, err := os.ReadFile(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		h.t.Fatal(err)
	}
	return pid
}
