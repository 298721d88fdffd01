//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Stop shuts the server down in order, cutting its connections; it returns
// when it is down. Restart brings it back.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.pid == 0 {
		return
	}
	s.signal(s.pid, syscall.SIGINT) // "fast" shutdown
	if !s.waitExited(startTimeout) {
		s.tb.Fatalf("pgtest: the server did not stop within %v:\n%s", startTimeout, s.logTail())
	}
}

// Kill ends every process of the server with SIGKILL, as a crash does; it
// returns when they are dead. Restart brings it back, through recovery.
func (s *Server) Kill() {
	s.tb.Helper()
	if err := s.kill(); err != nil {
		s.tb.Fatalf("pgtest: %v", err)
	}
}

// Freeze stops every process of the server with SIGSTOP: its connections stay
// open and nothing answers. Thaw lets them go on.
func (s *Server) Freeze() {
	s.tb.Helper()
	if s.pid == 0 {
		s.tb.Fatal("pgtest: Freeze: the server is down")
	}
	// The postmaster first: it can start no further process then.
	s.signal(s.pid, syscall.SIGSTOP)
	for _, pid := range children(s.pid) {
		s.signal(pid, syscall.SIGSTOP)
	}
}

// Thaw ends Freeze.
func (s *Server) Thaw() {
	s.tb.Helper()
	for _, pid := range append(children(s.pid), s.pid) {
		s.signal(pid, syscall.SIGCONT)
	}
}

// Restart starts the server again on its old port, after stopping it in order
// if it is up; it returns when the server answers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	if err := s.launch(); err != nil {
		s.tb.Fatalf("pgtest: %v", err)
	}
}

// close kills the server and removes its folder.
func (s *Server) close() {
	_ = s.kill()
	s.dog.end()
}

func (s *Server) kill() error {
	if s.pid == 0 {
		return nil
	}
	_ = syscall.Kill(s.pid, syscall.SIGSTOP)
	pids := children(s.pid)
	_ = syscall.Kill(s.pid, syscall.SIGKILL)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	const patience = 10 * time.Second
	if !s.waitExited(patience) {
		return fmt.Errorf("the server survived SIGKILL for %v", patience)
	}
	for _, pid := range pids {
		deadline := time.Now().Add(patience)
		for alive(pid) {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d of the server survived SIGKILL for %v", pid, patience)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

func (s *Server) signal(pid int, sig syscall.Signal) {
	s.tb.Helper()
	if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
		s.tb.Fatalf("pgtest: sending %v to process %d: %v", sig, pid, err)
	}
}

func (s *Server) waitExited(patience time.Duration) bool {
	for deadline := time.Now().Add(patience); !s.exited(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// exited reports whether the postmaster is gone, and forgets it then.
func (s *Server) exited() bool {
	if s.pid == 0 {
		return true
	}
	pid, err := syscall.Wait4(s.pid, nil, syscall.WNOHANG, nil)
	if err == syscall.EINTR || err == nil && pid == 0 {
		return false
	}
	s.pid = 0
	s.dog.unwatch()
	return true
}

// logTail returns the last lines of the server's log.
func (s *Server) logTail() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(b), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "")
}
