//go:build unix

package pgtest

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// children returns the processes whose parent is pid. A server's are all
// children of its postmaster.
func children(pid int) []int {
	if pid == 0 {
		return nil
	}
	var found []int
	for _, p := range processes() {
		if p.parent == pid {
			found = append(found, p.pid)
		}
	}
	return found
}

// alive reports whether pid is a process that still runs: a zombie does not.
func alive(pid int) bool {
	for _, p := range processes() {
		if p.pid == pid {
			return p.state != "Z"
		}
	}
	return false
}

type process struct {
	pid, parent int
	state       string
}

// processes lists the processes of this machine: from /proc, or from ps where
// there is none (macOS).
func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return processesFromPS()
	}
	var all []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state parent …, where the name may hold anything.
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		all = append(all, process{pid: pid, parent: parent, state: fields[0]})
	}
	return all
}

func processesFromPS() []process {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,state=").Output()
	if err != nil {
		return nil
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		pid, _ := strconv.Atoi(fields[0])
		parent, _ := strconv.Atoi(fields[1])
		all = append(all, process{pid: pid, parent: parent, state: fields[2][:1]})
	}
	return all
}

// commandLine returns the command line of a process, empty if it is gone.
func commandLine(pid int) string {
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); err == nil {
		return strings.ReplaceAll(string(b), "\x00", " ")
	}
	out, _ := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return string(out)
}
