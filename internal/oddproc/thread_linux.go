package oddproc

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// EndFirstThread ends the thread that leads this process, as pthread_exit does in
// main, and returns on another: from then on the process looks like a zombie
// without an environment, and goes on.
func EndFirstThread() {
	for threadState(os.Getpid()) != "Z" {
		go func() {
			runtime.LockOSThread()
			if syscall.Gettid() == os.Getpid() {
				_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
			}
			time.Sleep(time.Second) // the next one gets another thread
			runtime.UnlockOSThread()
		}()
		time.Sleep(5 * time.Millisecond)
	}
}

// LivesOn reports a process of which any thread lives.
func LivesOn(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		id, _ := strconv.Atoi(filepath.Base(task))
		if s := threadState(id); s != "" && s != "Z" && s != "X" {
			return true
		}
	}
	return false
}

// threadState returns the state of a thread, of a process that of the first.
func threadState(id int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	_, rest, _ := strings.Cut(string(data), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}
