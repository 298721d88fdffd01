package shim_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

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
	case "faceless":
		if err := hideArguments(); err != nil {
			fmt.Fprintln(os.Stderr, err)
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

// hideArguments makes this process show neither arguments nor an environment, as
// every process does for a moment of execve.
func hideArguments() error {
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	field := func(n int) uint64 { // by its number in proc(5)
		v, _ := strconv.ParseUint(fields[n-3], 10, 64)
		return v
	}
	brk, _, _ := syscall.RawSyscall(syscall.SYS_BRK, 0, 0, 0)
	// struct prctl_mm_map
	mm := struct {
		startCode, endCode, startData, endData, startBrk, brk, startStack uint64
		argStart, argEnd, envStart, envEnd                                uint64
		auxv                                                              uint64
		auxvSize, exe                                                     uint32
	}{
		startCode: field(26), endCode: field(27), startData: field(45), endData: field(46),
		startBrk: field(47), brk: uint64(brk), startStack: field(28),
		argStart: field(48), argEnd: field(48), envStart: field(50), envEnd: field(50),
		exe: 1<<32 - 1, // none
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_MM, unix.PR_SET_MM_MAP,
		uintptr(unsafe.Pointer(&mm)), unsafe.Sizeof(mm), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
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
