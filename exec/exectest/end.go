package exectest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
)

// endTests: who ends a command, and how.
func endTests() []subtest {
	return []subtest{
		{"CancelEndsTheCommand", 0, func(s *session) {
			c := s.start(s.script("echo ready; sleep 300"), nil)
			s.untilText(c, "ready\n")
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, c.cmd.ID), nil)
			s.wait(c)
			equal(s, "error", c.err, nil)
			equal(s, "reason", c.result.Reason, exec.Canceled)
			equal(s, "exit code", c.result.ExitCode, -1)
			equal(s, "signal", c.result.Signal, "SIGTERM")
			equal(s, "survivors", len(c.result.Survivors), 0)
			equal(s, "stdout", c.text(exec.Stdout), "ready\n")
		}},
		{"CancelGivesTheGracePeriod", needsProcesses, func(s *session) {
			cmd := s.script(`trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done`)
			cmd.Grace = s.Patience
			c := s.start(cmd, nil)
			s.untilText(c, "ready\n")
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, cmd.ID), nil)
			s.wait(c)
			equal(s, "stdout", c.text(exec.Stdout), "ready\nbye\n")
			equal(s, "exit code", c.result.ExitCode, 3)
			equal(s, "reason", c.result.Reason, exec.Canceled)
		}},
		{"CancelKillsWhatIgnoresTERM", 0, func(s *session) {
			c := s.start(s.script(`trap '' TERM; echo ready; sleep 300`), nil)
			s.untilText(c, "ready\n")
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, c.cmd.ID), nil)
			s.wait(c)
			equal(s, "signal", c.result.Signal, "SIGKILL")
			equal(s, "reason", c.result.Reason, exec.Canceled)
		}},
		{"KillEndsTheGracePeriod", 0, func(s *session) {
			killer, ok := s.Executor.(exec.Killer)
			if !ok {
				s.Log("not tested: the subject is no exec.Killer")
				return
			}
			cmd := s.script(`trap '' TERM; echo ready; sleep 300`)
			cmd.Grace = time.Hour
			c := s.start(cmd, nil)
			s.untilText(c, "ready\n")
			c.cancel() // begins the grace period
			equal(s, "Kill", killer.Kill(s.ctx, s.Target, cmd.ID), nil)
			s.wait(c)
			equal(s, "signal", c.result.Signal, "SIGKILL")
			equal(s, "reason", c.result.Reason, exec.Canceled)
			equal(s, "Kill again", killer.Kill(s.ctx, s.Target, cmd.ID), nil)
		}},
		{"NegativeGraceKillsAtOnce", needsProcesses, func(s *session) {
			cmd := s.script(`trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done`)
			cmd.Grace = -1
			c := s.start(cmd, nil)
			s.untilText(c, "ready\n")
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, cmd.ID), nil)
			s.wait(c)
			equal(s, "signal", c.result.Signal, "SIGKILL")
		}},
		{"CancelIsIdempotent", 0, func(s *session) {
			equal(s, "Cancel of an unknown ID", s.Executor.Cancel(s.ctx, s.Target, newID()), nil)
			cmd := s.script("exit 5")
			s.run(cmd)
			equal(s, "Cancel after the end", s.Executor.Cancel(s.ctx, s.Target, cmd.ID), nil)
			again := s.run(cmd)
			equal(s, "exit code", again.result.ExitCode, 5)
			equal(s, "reason", again.result.Reason, exec.Exited)

			c := s.start(s.script("echo ready; sleep 300"), nil)
			s.untilText(c, "ready\n")
			var group sync.WaitGroup
			errs := make([]error, 5)
			for i := range errs {
				group.Go(func() { errs[i] = s.Executor.Cancel(s.ctx, s.Target, c.cmd.ID) })
			}
			group.Wait()
			for _, err := range errs {
				equal(s, "Cancel by several", err, nil)
			}
			s.wait(c)
			equal(s, "reason", c.result.Reason, exec.Canceled)
		}},
		{"ContextEndCancelsAndWaits", 0, func(s *session) {
			c := s.start(s.script("echo $$; sleep 300"), nil)
			s.untilText(c, "\n")
			c.cancel()
			s.wait(c)
			equal(s, "error", c.err, nil)
			equal(s, "reason", c.result.Reason, exec.Canceled)
			if !s.NoProcesses {
				s.dead(pids(c)...)
			}
		}},
		{"ContextEndGivesTheLastLines", needsProcesses, func(s *session) {
			cmd := s.script(`trap 'seq 1 5000; exit 0' TERM; echo ready; while :; do sleep 0.1; done`)
			cmd.Grace = s.Patience
			c := s.start(cmd, nil)
			s.untilText(c, "ready\n")
			c.cancel()
			s.wait(c)
			equal(s, "error", c.err, nil)
			equal(s, "stdout", c.text(exec.Stdout), "ready\n"+numbers(1, 5000))
			equal(s, "reason", c.result.Reason, exec.Canceled)
		}},
		{"ContextDeadlineCancels", 0, func(s *session) {
			cmd := s.script("sleep 300")
			ctx, stop := context.WithTimeout(s.ctx, 300*time.Millisecond)
			defer stop()
			result, err := s.Executor.Execute(ctx, cmd, func([]exec.Line) error { return nil })
			equal(s, "error", err, nil)
			equal(s, "reason", result.Reason, exec.Canceled)
		}},
		{"TimeoutEndsTheCommand", 0, func(s *session) {
			cmd := s.script("echo ready; sleep 300")
			cmd.Timeout = 300 * time.Millisecond
			c := s.run(cmd)
			equal(s, "reason", c.result.Reason, exec.TimedOut)
			equal(s, "signal", c.result.Signal, "SIGTERM")
			equal(s, "stdout", c.text(exec.Stdout), "ready\n")
			if c.result.Duration < 250*time.Millisecond {
				s.Errorf("a timeout of 300 ms came after %v", c.result.Duration)
			}
		}},
		{"TimeoutInTimeIsNone", 0, func(s *session) {
			cmd := s.script("echo done")
			cmd.Timeout = s.Patience
			equal(s, "reason", s.run(cmd).result.Reason, exec.Exited)
		}},
		{"TimeoutHoldsWithoutACaller", needsDetach, func(s *session) {
			cmd := s.script("echo $$; sleep 300")
			cmd.Timeout = time.Second
			c := s.start(cmd, nil)
			s.untilText(c, "\n")
			c.detach()
			s.wait(c)
			if !s.NoProcesses {
				s.until("the timeout has ended the command", func() bool { return !s.alive(pids(c)[0]) })
			}
			equal(s, "reason", s.run(cmd).result.Reason, exec.TimedOut)
		}},
	}
}

// pids returns the process ids that a command printed, one on a line.
func pids(c *call) []string {
	return strings.Fields(c.text(exec.Stdout))
}
