package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// logMax is how long the log may become before another one is begun, of
	// which there is one besides.
	logMax  = 256 << 10
	logName = "shim.log"

	// readyFD is where a daemon in the background says that it is ready.
	readyFD   = 3
	readyText = "ready"
)

// spawn starts a daemon in the background, and returns when it can be reached.
// Then this process, its parent, is to end, so that it is nobody's child.
func (p Program) spawn(config Config) error {
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return err
	}
	logFile, err := openLog(config.Dir)
	if err != nil {
		return err
	}
	defer logFile.Close()
	ready, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	args := append(p.Self[1:len(p.Self):len(p.Self)], "serve", "--ready", "--dir", config.Dir)
	args = append(args, config.start().Flags()...)
	cmd := osexec.Command(p.Self[0], args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = logFile // also of a panic
	cmd.ExtraFiles = []*os.File{said}
	err = cmd.Start()
	said.Close()
	if err != nil {
		return err
	}
	_ = cmd.Process.Release()
	text, err := io.ReadAll(ready)
	switch {
	case err != nil:
		return err
	case len(text) == 0:
		return fmt.Errorf("the daemon ended at once; see %s", logFile.Name())
	case string(text) != readyText:
		return errors.New(string(text))
	}
	return nil
}

// serveDetached is what spawn starts.
func serveDetached(ctx context.Context, config Config) error {
	unix.CloseOnExec(readyFD)
	closeInherited()
	said := os.NewFile(readyFD, "ready")
	defer said.Close()
	tuneMemory()
	config.Log = &boundedLog{w: os.Stderr, room: logMax}
	isReady := false
	err := Serve(ctx, config, func() {
		isReady = true
		_, _ = io.WriteString(said, readyText)
		said.Close()
	})
	if err != nil && !isReady {
		_, _ = io.WriteString(said, err.Error())
	}
	return err
}

// closeInherited closes files that this process was given by oversight: whoever
// waits for the end of such a pipe would wait for the daemon. The runtime's own
// files are closed on exec, which tells them apart.
func closeInherited() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd <= readyFD {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// openLog opens the log, or begins another one if it has become long.
func openLog(dir string) (*os.File, error) {
	path := filepath.Join(dir, logName)
	if info, err := os.Stat(path); err == nil && info.Size() > logMax {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// boundedLog writes until it has written enough. Its user writes one message
// after the other.
type boundedLog struct {
	w    io.Writer
	room int
}

func (b *boundedLog) Write(p []byte) (int, error) {
	if len(p) > b.room {
		return 0, errors.New("the log is full: " + strconv.Itoa(b.room) + " bytes are left")
	}
	b.room -= len(p)
	return b.w.Write(p)
}
