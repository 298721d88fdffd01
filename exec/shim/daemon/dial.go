package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startWait is how long a daemon may take to start: it first cleans up after
// one that was killed.
const startWait = 60 * time.Second

// startLockName is held with flock by whoever starts a daemon.
const startLockName = "start.lock"

// startAttempts is how often a daemon is started that has ended again when it
// is needed: it may have been idle for as long as it was to be.
const startAttempts = 3

// Start says how a daemon is started where none is running.
type Start struct {
	// Command is a program that has this package's commands, with the
	// arguments before them: {"/usr/bin/rdev", "shim"}. Required.
	Command []string
	// Env is the environment of the daemon itself. Its commands have that of the
	// client instead, or where it sends none, a PATH of the usual folders,
	// HOME=/ and LANG=C.UTF-8. It must not hold secrets: commands may look at
	// the daemon. Defaults to a PATH of the usual folders.
	Env []string
	// The fields of Config that are handed on.
	IdleExit      time.Duration
	Linger        time.Duration
	Retention     time.Duration
	MaxEnded      int
	MaxEndedBytes int64
	MinFree       int64
	Volatile      bool
}

// Dial connects to the daemon of the state folder dir, and starts it first if
// it is not running. Of several callers in several processes one starts it.
func Dial(ctx context.Context, dir string, start Start) (io.ReadWriteCloser, error) {
	conn, err := dial(ctx, dir, start)
	if err != nil {
		return nil, fmt.Errorf("exec/shim/daemon: connect to the shim of %s: %w", dir, err)
	}
	return conn, nil
}

func dial(ctx context.Context, dir string, start Start) (io.ReadWriteCloser, error) {
	conn, err := connect(ctx, dir)
	if err == nil || !isAbsent(err) {
		return conn, err
	}
	if len(start.Command) == 0 {
		return nil, errors.New("it is not running, and there is no command to start it")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockStart(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if conn, err := connect(ctx, dir); err == nil || !isAbsent(err) {
		return conn, err // somebody else has started it
	}
	for attempt := 1; ; attempt++ {
		if err := start.run(ctx, dir); err != nil {
			return nil, err
		}
		conn, err := connect(ctx, dir)
		if err == nil || !isAbsent(err) || attempt == startAttempts {
			return conn, err
		}
	}
}

func connect(ctx context.Context, dir string) (io.ReadWriteCloser, error) {
	return withSocketPath(dir, func(path string) (io.ReadWriteCloser, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	})
}

// isAbsent reports an error that says that no daemon listens.
func isAbsent(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// lockStart waits for the right to start the daemon.
func lockStart(ctx context.Context, dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, startLockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			pause := time.NewTimer(20 * time.Millisecond)
			select {
			case <-pause.C:
				continue
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
			pause.Stop()
		}
		file.Close()
		return nil, err
	}
}

// run starts a daemon and returns when it can be reached.
func (s Start) run(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	args := append(s.Command[1:len(s.Command):len(s.Command)], "serve", "--detach", "--dir", dir)
	args = append(args, s.Flags()...)
	cmd := osexec.CommandContext(ctx, s.Command[0], args...)
	cmd.Env = s.Env
	if cmd.Env == nil {
		cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	cmd.Dir = "/"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("start it with %s: %w: %s", s.Command[0], err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// Flags are the flags of connect that say it.
func (s Start) Flags() []string {
	var flags []string
	for name, value := range map[string]time.Duration{"idle-exit": s.IdleExit, "linger": s.Linger, "retention": s.Retention} {
		if value != 0 {
			flags = append(flags, "--"+name+"="+value.String())
		}
	}
	for name, value := range map[string]int64{"max-ended": int64(s.MaxEnded), "max-ended-bytes": s.MaxEndedBytes, "min-free": s.MinFree} {
		if value != 0 {
			flags = append(flags, "--"+name+"="+strconv.FormatInt(value, 10))
		}
	}
	if s.Volatile {
		flags = append(flags, "--volatile")
	}
	return flags
}
