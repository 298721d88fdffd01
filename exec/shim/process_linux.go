package shim

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// awaitExit returns when the process has exited. It stays a zombie: its id is
// not given to another process before reap.
func (p *process) awaitExit() {
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// widenPipe lets a command write more before it must wait for the reader. If
// the user's share of pipe memory is used up, the pipe stays as it is.
func widenPipe(file *os.File) {
	if conn, err := file.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) {
			_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 256<<10)
		})
	}
}

// bootID names this run of the kernel.
func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}

// stat is what the engine reads of /proc/<pid>/stat.
type stat struct {
	state     byte
	parent    int
	flags     uint64
	threads   int
	startTime uint64 // in clock ticks after boot
}

const (
	exiting      = 0x00000004 // PF_EXITING, of the first thread
	kernelThread = 0x00200000 // PF_KTHREAD
)

// dead reports a process that executes nothing any more. One whose first thread
// has ended is a zombie while the others live.
func (s stat) dead() bool { return s.ended() && s.threads <= 1 }

// ended reports a thread that executes nothing any more: of a process, the first.
func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' }

// procFolder is where the kernel tells about a process.
func procFolder(pid int) string { return "/proc/" + strconv.Itoa(pid) }

// livingThread returns the folder of a thread that has not ended, or "".
func livingThread(pid int) string {
	tasks := procFolder(pid) + "/task"
	entries, _ := os.ReadDir(tasks)
	for _, entry := range entries {
		folder := tasks + "/" + entry.Name()
		if s, err := readStatIn(folder); err == nil && !s.ended() {
			return folder
		}
	}
	return ""
}

func readStat(pid int) (stat, error) { return readStatIn(procFolder(pid)) }

func readStatIn(folder string) (stat, error) {
	data, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return stat{}, err
	}
	// The name, in parentheses, may hold anything, parentheses too.
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return stat{}, errors.New("malformed stat")
	}
	fields := strings.Fields(string(data[i+1:]))
	if len(fields) < 20 {
		return stat{}, errors.New("malformed stat")
	}
	var s stat
	s.state = fields[0][0]
	s.parent, _ = strconv.Atoi(fields[1])
	s.flags, _ = strconv.ParseUint(fields[6], 10, 64)
	s.threads, _ = strconv.Atoi(fields[17])
	s.startTime, _ = strconv.ParseUint(fields[19], 10, 64)
	return s, nil
}

func startTime(pid int) uint64 {
	s, _ := readStat(pid)
	return s.startTime
}

func freeBytes(dir string) uint64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0
	}
	return fs.Bavail * uint64(fs.Bsize)
}

// syncData fsyncs what a file holds, but not its times.
func syncData(file *os.File) error {
	for {
		if err := unix.Fdatasync(int(file.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
