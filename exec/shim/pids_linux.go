package shim

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A pidSource knows in which order the kernel gives out process ids, which
// saves most commands the search through all processes.
//
// Ids are given out in ascending order and begin again at the bottom after
// pid_max. So a process that descends from another has an id that was given
// out after that one's, and the last field of /proc/loadavg is the id given
// out last. For a command that forked nothing, and in whose time nobody else
// did, the two are equal: that nobody is left is then known from one read.
//
// This holds as long as the ids have not gone round once, which takes pid_max
// forks; a fork in every microsecond is beyond any kernel. An id
// chosen with clone3's set_tid (checkpoint and restore, privileged) is out of
// order: such a process is found in its session or group only.
type pidSource struct {
	max    int
	usable bool
}

const (
	fastestFork = time.Microsecond
	firstPID    = 300 // after the first round; the ids below are not used again
	// fewPIDs is up to where it is cheaper to try the ids than to list /proc.
	fewPIDs = 64
)

func newPIDSource() pidSource {
	var fs unix.Statfs_t
	data, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil || unix.Statfs("/proc/loadavg", &fs) != nil || fs.Type != unix.PROC_SUPER_MAGIC {
		return pidSource{} // a stand-in such as lxcfs, which invents the number
	}
	limit, err := strconv.Atoi(string(bytes.TrimSpace(data)))
	if err != nil {
		return pidSource{}
	}
	// Of another pid namespace, /proc would count other ids than ours.
	self, err := os.Readlink("/proc/self")
	if err != nil || self != strconv.Itoa(os.Getpid()) {
		return pidSource{}
	}
	s := pidSource{max: limit}
	s.usable = s.last() > 0 // gVisor says 0
	return s
}

// last returns the process id that was given out last, or 0.
func (s pidSource) last() int {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	data = bytes.TrimSpace(data)
	pid, _ := strconv.Atoi(string(data[bytes.LastIndexByte(data, ' ')+1:]))
	return pid
}

// A pidWindow is the ids given out after one and up to another, or all.
type pidWindow struct {
	after, upTo int
	limit       int
	all         bool
}

// since returns the ids given out after pid, which was not given out before the
// time forked.
func (s pidSource) since(pid int, forked time.Time) pidWindow {
	if !s.usable {
		return pidWindow{all: true}
	}
	last := s.last()
	if last <= 0 || pid <= 0 || time.Since(forked) > time.Duration(s.max-firstPID)*fastestFork {
		return pidWindow{all: true, upTo: last}
	}
	return pidWindow{after: pid, upTo: last, limit: s.max}
}

// after returns the ids given out since the window was made.
func (s pidSource) after(w pidWindow) pidWindow {
	last := 0
	if s.usable {
		last = s.last()
	}
	if last <= 0 || w.upTo <= 0 {
		return pidWindow{all: true}
	}
	return pidWindow{after: w.upTo, upTo: last, limit: s.max}
}

func (w pidWindow) empty() bool { return !w.all && w.after == w.upTo }

func (w pidWindow) contains(pid int) bool {
	switch {
	case w.all:
		return true
	case w.after <= w.upTo:
		return w.after < pid && pid <= w.upTo
	}
	return pid > w.after || pid <= w.upTo
}

// list returns the ids of the window that may be processes.
func (w pidWindow) list() []int {
	var pids []int
	if n := w.upTo - w.after; !w.all && 0 <= n && n <= fewPIDs {
		for pid := w.after + 1; pid <= w.upTo; pid++ {
			pids = append(pids, pid)
		}
		return pids
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && w.contains(pid) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
