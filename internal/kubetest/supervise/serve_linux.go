package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// process is one start of a named process.
type process struct {
	pid   int
	ended chan struct{} // closed once exit is set
	exit  Exit
}

// server holds what Serve knows. mu is held over fork and registration, and
// over reaping, so that no process can end before it is known.
type server struct {
	mu     sync.Mutex
	byName map[string]*process
	byPID  map[int]*process

	outMu sync.Mutex
	out   *json.Encoder
}

// Serve answers requests until in ends, and reaps every process of the
// namespace. It returns nil when in ended; the caller is to exit then, which
// ends every process it started.
func Serve(in io.Reader, out io.Writer) error {
	s := &server{byName: map[string]*process{}, byPID: map[int]*process{}, out: json.NewEncoder(out)}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)
	go func() {
		for range children {
			s.reap()
		}
	}()
	s.reply(Reply{ID: 0})
	dec := json.NewDecoder(in)
	for {
		var r Request
		if err := dec.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch r.Op {
		case OpStart:
			s.reply(s.start(r))
		case OpSignal:
			s.reply(s.signal(r))
		case OpWait:
			s.wait(r)
		default:
			s.reply(Reply{ID: r.ID, Error: fmt.Sprintf("unknown operation %q", r.Op)})
		}
	}
}

func (s *server) reply(r Reply) {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	_ = s.out.Encode(r) // a reader that is gone ends standard input too
}

func (s *server) start(r Request) Reply {
	if len(r.Argv) == 0 {
		return Reply{ID: r.ID, Error: "start: no argv"}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return Reply{ID: r.ID, Error: err.Error()}
	}
	defer null.Close()
	log, err := os.OpenFile(r.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return Reply{ID: r.ID, Error: err.Error()}
	}
	defer log.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byName[r.Name]; old != nil && s.byPID[old.pid] == old {
		return Reply{ID: r.ID, Error: fmt.Sprintf("%s already runs as process %d", r.Name, old.pid)}
	}
	pid, err := syscall.ForkExec(r.Argv[0], r.Argv, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return Reply{ID: r.ID, Error: fmt.Sprintf("start %s: %v", r.Argv[0], err)}
	}
	p := &process{pid: pid, ended: make(chan struct{})}
	s.byName[r.Name], s.byPID[pid] = p, p
	return Reply{ID: r.ID, PID: pid}
}

func (s *server) signal(r Request) Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byName[r.Name]
	if p == nil || s.byPID[p.pid] != p {
		return Reply{ID: r.ID, Error: r.Name + " is not running"}
	}
	if err := syscall.Kill(p.pid, syscall.Signal(r.Signal)); err != nil {
		return Reply{ID: r.ID, Error: fmt.Sprintf("signal %s: %v", r.Name, err)}
	}
	return Reply{ID: r.ID, PID: p.pid}
}

func (s *server) wait(r Request) {
	s.mu.Lock()
	p := s.byName[r.Name]
	s.mu.Unlock()
	if p == nil {
		s.reply(Reply{ID: r.ID, Error: r.Name + " was never started"})
		return
	}
	go func() {
		<-p.ended
		s.reply(Reply{ID: r.ID, PID: p.pid, Exit: &p.exit})
	}()
}

// reap collects all that ended: named processes, and the orphans (shims,
// containers) that the kernel hands to the first process of the namespace.
func (s *server) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		p := s.byPID[pid]
		if p == nil {
			continue
		}
		delete(s.byPID, pid)
		if status.Signaled() {
			p.exit.Signal = int(status.Signal())
		} else {
			p.exit.Code = status.ExitStatus()
		}
		close(p.ended)
	}
}
