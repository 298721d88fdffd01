//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const folderPrefix = "rdev-pgtest-"

// account returns whom a server runs as: Postgres refuses to run as root.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("postgres refuses to run as root, and this machine has neither a user postgres nor nobody")
}

// base returns where the folders are made: the folder for temporary files, or
// /tmp if another user cannot get in there or its name is too long for a
// socket.
func base() string {
	const fallback = "/tmp"
	dir := os.TempDir()
	if len(dir) > 50 {
		return fallback
	}
	if os.Geteuid() == 0 {
		for parent := dir; ; parent = filepath.Dir(parent) {
			info, err := os.Stat(parent)
			if err != nil || info.Mode()&0o001 == 0 {
				return fallback
			}
			if parent == filepath.Dir(parent) {
				break
			}
		}
	}
	return dir
}

// newFolder makes the folder of a server and the watchdog that removes it.
func newFolder(account *syscall.Credential) (string, *watchdog, error) {
	dir, err := os.MkdirTemp(base(), folderPrefix)
	if err != nil {
		return "", nil, err
	}
	dog, err := newWatchdog(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			dog.end()
			return "", nil, err
		}
	}
	return dir, dog, nil
}

// writeFile writes a file that only the server's user can read.
func (s *Server) writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	if s.account == nil {
		return nil
	}
	return os.Chown(path, int(s.account.Uid), int(s.account.Gid))
}

// A watchdog is a process that outlives this one for a moment: it waits for
// the end of a pipe that only this process holds open, ends the server and
// removes its folder. It is a shell, because a library cannot make the test's
// binary run something else.
type watchdog struct {
	dir  string
	cmd  *exec.Cmd
	pipe *os.File // its end is the signal; kept here so that it stays open
}

const watchdogScript = `
trap '' HUP INT TERM
cat >/dev/null 3>&-
pid=$(cat "$1/server.pid" 2>/dev/null)
# The number may be another process's by now.
case $(tr '\0' ' ' </proc/"$pid"/cmdline 2>/dev/null || ps -o command= -p "$pid") in
*" $1/data "*)
	kill -CONT "$pid"
	kill -QUIT "$pid"
	n=0
	while [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" && [ "$n" -lt 100 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	[ ! -e "$1/data/postmaster.pid" ] || kill -KILL "$pid"
	;;
esac
rm -rf "$1"
`

func newWatchdog(dir string) (*watchdog, error) {
	// The lock is the watchdog's: it inherits the open file and holds it for
	// life. sweep leaves locked folders alone.
	lock, err := openLock(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", watchdogScript, "pgtest-watchdog", dir)
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	return &watchdog{dir: dir, cmd: cmd, pipe: w}, nil
}

// watch tells the watchdog the server's process. unwatch comes right after the
// end of that process was seen: only then may another one get its number.
func (d *watchdog) watch(pid int) error {
	return os.WriteFile(filepath.Join(d.dir, "server.pid"), []byte(strconv.Itoa(pid)), 0o600)
}

func (d *watchdog) unwatch() { _ = os.Remove(filepath.Join(d.dir, "server.pid")) }

// end lets the watchdog do its work and waits for it.
func (d *watchdog) end() {
	d.pipe.Close()
	_ = d.cmd.Wait()
}

// openLock opens the lock of a folder and takes it, or fails at once.
func openLock(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// sweep removes what earlier runs left whose watchdog was killed too. What it
// cannot remove belongs to another user, and stays.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(base(), folderPrefix+"*"))
	for _, dir := range dirs {
		// A folder without a lock, or with a fresh one, is being made at this
		// moment.
		info, err := os.Stat(filepath.Join(dir, "lock"))
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		lock, err := openLock(dir)
		if err != nil {
			continue
		}
		b, _ := os.ReadFile(filepath.Join(dir, "server.pid"))
		if pid, err := strconv.Atoi(string(b)); err == nil && strings.Contains(commandLine(pid), dir) {
			for _, child := range children(pid) {
				_ = syscall.Kill(child, syscall.SIGKILL)
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = os.RemoveAll(dir)
		lock.Close()
	}
}
