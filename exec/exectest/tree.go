package exectest

import (
	"strings"
	"time"

	"github.com/orchard9/rdev/exec"
)

// treeTests: cancelled means dead, for every process that the command started.
// The scripts print the process id of each.
func treeTests() []subtest {
	return []subtest{
		{"CancelKillsTheGroup", needsProcesses, func(s *session) {
			c := s.tree(`echo $$; sh -c 'echo $$; sleep 300; :' & sleep 300; :`, 2)
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, c.cmd.ID), nil)
			s.dead(pids(c)...) // when Cancel has returned, not some time later
			s.wait(c)
			equal(s, "survivors", len(c.result.Survivors), 0)
		}},
		{"CancelKillsDetachedChildren", needsProcesses | needsKillProof, func(s *session) {
			if !s.hasSetsid() {
				return
			}
			c := s.tree(`echo $$; setsid sh -c 'trap "" TERM HUP; echo $$; while :; do sleep 1; done' & sleep 300; :`, 2)
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, c.cmd.ID), nil)
			s.dead(pids(c)...)
			s.wait(c)
			equal(s, "reason", c.result.Reason, exec.Canceled)
			equal(s, "survivors", len(c.result.Survivors), 0)
		}},
		{"CancelKillsDaemons", needsProcesses | needsKillProof, func(s *session) {
			if !s.hasSetsid() {
				return
			}
			// Twice forked, in a session of its own, its parent gone and its
			// outputs closed: nothing but its environment tells whose it is.
			c := s.tree(`echo $$; (setsid sh -c 'echo $$; exec >/dev/null 2>&1 </dev/null; trap "" TERM HUP; while :; do sleep 1; done' &) ; sleep 300; :`, 2)
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, c.cmd.ID), nil)
			s.dead(pids(c)...)
			s.wait(c)
		}},
		{"ContextEndKillsTheTree", needsProcesses | needsKillProof, func(s *session) {
			if !s.hasSetsid() {
				return
			}
			c := s.tree(`echo $$; setsid sh -c 'trap "" TERM HUP; echo $$; while :; do sleep 1; done' & sleep 300; :`, 2)
			c.cancel()
			s.wait(c)
			s.dead(pids(c)...)
		}},
		{"TimeoutEndsTheTree", needsProcesses | needsKillProof, func(s *session) {
			if !s.hasSetsid() {
				return
			}
			cmd := s.script(`echo $$; setsid sh -c 'trap "" TERM HUP; echo $$; while :; do sleep 1; done' & sleep 300; :`)
			cmd.Timeout = 2 * time.Second
			c := s.run(cmd)
			equal(s, "reason", c.result.Reason, exec.TimedOut)
			equal(s, "processes", len(pids(c)), 2)
			s.dead(pids(c)...)
		}},
		{"ChildrenThatHoldTheOutputEndWithTheCommand", needsProcesses, func(s *session) {
			started := time.Now()
			c := s.run(s.script(`sh -c 'echo $$; exec sleep 300' & sleep 0.2; exit 0`))
			equal(s, "exit code", c.result.ExitCode, 0)
			equal(s, "reason", c.result.Reason, exec.Exited)
			equal(s, "processes", len(pids(c)), 1)
			s.dead(pids(c)...)
			if took := time.Since(started); took > s.Patience {
				s.Errorf("the command ended after %v", took)
			}
		}},
		{"ChildrenMayFinishTheirOutput", needsProcesses, func(s *session) {
			c := s.run(s.script(`{ sleep 0.3; echo late; } & echo early`))
			equal(s, "stdout", c.text(exec.Stdout), "early\nlate\n")
			equal(s, "exit code", c.result.ExitCode, 0)
		}},
		{"CommandsDoNotHarmEachOther", needsProcesses, func(s *session) {
			first := s.tree(`echo $$; sleep 300; :`, 1)
			second := s.tree(`echo $$; sleep 300; :`, 1)
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, first.cmd.ID), nil)
			if !s.alive(pids(second)[0]) {
				s.Error("cancelling one command killed another")
			}
			second.cancel()
			s.wait(second)
		}},
	}
}

// tree starts a script and waits until it has printed so many process ids.
func (s *session) tree(text string, processes int) *call {
	s.Helper()
	c := s.start(s.script(text), nil)
	s.until("the processes have started", func() bool {
		select {
		case <-c.done:
			s.Fatalf("%s ended with %+v, %v; stderr %q", text, c.result, c.err, c.text(exec.Stderr))
		default:
		}
		return len(pids(c)) == processes
	})
	for _, pid := range pids(c) {
		if !s.alive(pid) {
			s.Fatalf("process %s of %s is not alive", pid, text)
		}
	}
	return c
}

// hasSetsid reports whether a command can leave its process group in the
// target.
func (s *session) hasSetsid() bool {
	s.Helper()
	if strings.Contains(s.output("command -v setsid || :"), "setsid") {
		return true
	}
	s.Log("not tested: the target has no setsid to leave the process group with")
	return false
}
