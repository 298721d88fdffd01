package shim

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
)

// A process is the main process of a command with the engine's ends of its
// pipes.
type process struct {
	proc    *os.Process
	pid     int
	birth   *birth
	tree    *tree     // once it is noted
	forked  time.Time // before the fork
	started time.Time // after it, both with the monotonic clock

	stdin          *os.File // nil unless the command has Stdin
	stdout, stderr *os.File

	waited  bool // exit is valid: this platform cannot wait without reaping
	exit    *os.ProcessState
	exitErr error
}

// startProcess starts the program as the leader of a new session, so that it
// has a process group of its own and no terminal to ask for passwords on. The
// error is an outcome (startError) unless another attempt may do better.
func startProcess(path string, cmd exec.Command, dir string, env []string, null *os.File) (_ *process, err error) {
	p := &process{}
	child := []*os.File{null, nil, nil}
	defer func() {
		for i, f := range child {
			if f != nil && (i > 0 || f != null) {
				f.Close()
			}
		}
		if err != nil {
			p.closePipes()
		}
	}()
	if cmd.Stdin != nil {
		if child[0], p.stdin, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	if p.stdout, child[1], err = os.Pipe(); err != nil {
		return nil, err
	}
	if p.stderr, child[2], err = os.Pipe(); err != nil {
		return nil, err
	}
	widenPipe(p.stdout)
	p.forked = time.Now()
	attr := &os.ProcAttr{Dir: dir, Env: env, Files: child, Sys: &syscall.SysProcAttr{Setsid: true}}
	p.proc, err = os.StartProcess(path, cmd.Argv, attr)
	for i := 0; i < 20 && errors.Is(err, unix.ETXTBSY); i++ {
		// Somebody who just wrote the program has forked before closing it.
		time.Sleep(5 * time.Millisecond)
		p.forked = time.Now()
		p.proc, err = os.StartProcess(path, cmd.Argv, attr)
	}
	if err != nil {
		return nil, forkError(cmd.Argv[0], err)
	}
	p.started = time.Now()
	p.pid = p.proc.Pid
	return p, nil
}

func forkError(name string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.EINTR, unix.EIO:
		return err
	case unix.ENOENT:
		// The program was there a moment ago: what is missing is the
		// interpreter that it names.
		return &recordedError{
			message: fmt.Sprintf("exec/shim: start %q: %v: its interpreter was not found", name, exec.ErrNotExecutable),
			cause:   exec.ErrNotExecutable,
		}
	}
	return startError(name, errno)
}

// feed gives the command its standard input. It ends at the latest with
// closePipes; that the command does not want to read it all is no error.
func (p *process) feed(data []byte) {
	_, _ = p.stdin.Write(data)
	p.stdin.Close()
}

func (p *process) closePipes() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// reap takes the exit status, after which the process id may be given to
// another process.
func (p *process) reap() (exec.Result, error) {
	if !p.waited {
		p.exit, p.exitErr = p.proc.Wait()
	}
	if p.exitErr != nil {
		return exec.Result{}, p.exitErr
	}
	status, ok := p.exit.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Exited():
		return exec.Result{ExitCode: status.ExitStatus()}, nil
	case ok && status.Signaled():
		return exec.Result{ExitCode: -1, Signal: signalName(status.Signal())}, nil
	}
	return exec.Result{}, fmt.Errorf("unexpected status %v", p.exit)
}

// signalName returns "SIGKILL", or "SIG34" for a signal without a name of its own.
func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("SIG%d", int(s))
}
