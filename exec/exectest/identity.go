package exectest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/exec"
)

// identityTests: Execute is get-or-create by ID.
func identityTests() []subtest {
	return []subtest{
		{"SameIDNeverRunsTwice", 0, func(s *session) {
			cmd := s.script(`echo "$$"; date +%s.%N; sleep 0.3; exit 4`)
			var calls []*call
			for range 8 {
				calls = append(calls, s.start(cmd, nil))
			}
			for _, c := range calls {
				s.wait(c)
				equal(s, "error", c.err, nil)
				equal(s, "exit code", c.result.ExitCode, 4)
				equal(s, "output", c.text(exec.Stdout), calls[0].text(exec.Stdout))
			}
			later := s.run(cmd)
			equal(s, "output of a call after the end", later.text(exec.Stdout), calls[0].text(exec.Stdout))
		}},
		{"SameIDHasItsEffectOnce", needsProcesses, func(s *session) {
			name := s.workspace()
			cmd := s.script(`echo ran >>"$1/log"; sleep 0.3`, name)
			var calls []*call
			for range 8 {
				calls = append(calls, s.start(cmd, nil))
			}
			for _, c := range calls {
				s.wait(c)
			}
			s.run(cmd)
			equal(s, "log", s.output(`cat "$1/log"`, name), "ran\n")
		}},
		{"EndedCommandGivesTheSameResult", 0, func(s *session) {
			cmd := s.script("echo out; echo err >&2; exit 9")
			first, again := s.run(cmd).result, s.run(cmd).result
			equal(s, "exit code", again.ExitCode, 9)
			equal(s, "reason", again.Reason, first.Reason)
			equal(s, "lines", again.Lines, first.Lines)
			equal(s, "bytes", again.StdoutBytes+again.StderrBytes, first.StdoutBytes+first.StderrBytes)
			equal(s, "duration", again.Duration, first.Duration)
			equal(s, "started at the same time", again.Started.Equal(first.Started), true)
			equal(s, "ended at the same time", again.Ended.Equal(first.Ended), true)
		}},
		{"AnotherSpecificationIsAConflict", 0, func(s *session) {
			cmd := s.script("echo mine; sleep 300")
			c := s.start(cmd, nil)
			s.untilText(c, "mine\n")
			changes := []func(*exec.Command){
				func(c *exec.Command) { c.Argv = []string{"echo", "other"} },
				func(c *exec.Command) { c.Env = map[string]string{"A": "b"} },
				func(c *exec.Command) { c.Stdin = []byte("x") },
				func(c *exec.Command) { c.Timeout = time.Hour },
				func(c *exec.Command) { c.Grace = time.Hour },
				func(c *exec.Command) { c.MaxOutput = 7 },
			}
			for _, state := range []string{"running", "ended"} {
				for i, change := range changes {
					other := cmd
					change(&other)
					if err := s.fails(other, exec.ErrConflict); err == nil {
						s.Errorf("change %d of a %s command was no conflict", i, state)
					}
					if state == "running" {
						select {
						case <-c.done:
							s.Fatalf("a conflict ended the command: %+v, %v", c.result, c.err)
						default:
						}
					}
				}
				c.cancel()
				s.wait(c)
			}
		}},
		{"AfterIsNoPartOfTheSpecification", 0, func(s *session) {
			cmd := s.script("seq 1 5")
			s.run(cmd)
			cmd.After = 3
			equal(s, "rest", s.run(cmd).text(exec.Stdout), "4\n5\n")
		}},
		{"ResumeIsNoPartOfTheSpecification", 0, func(s *session) {
			cmd := s.script("seq 1 5")
			first := s.run(cmd)
			cmd.Resume = true
			again := s.run(cmd)
			equal(s, "output", again.text(exec.Stdout), first.text(exec.Stdout))
			equal(s, "started at the same time", again.result.Started.Equal(first.result.Started), true)
			cmd.After = 3
			equal(s, "rest", s.run(cmd).text(exec.Stdout), "4\n5\n")
		}},
		{"WhatHasLinesIsNotStarted", 0, func(s *session) {
			for _, resume := range []bool{false, true} {
				cmd := s.script("seq 1 5")
				cmd.After, cmd.Resume = 3, resume
				for range 2 {
					s.isUnknown(cmd)
				}
			}
		}},
		{"WhatHasLinesHasNoOtherEffect", needsProcesses, func(s *session) {
			name := s.workspace()
			cmd := s.script(`echo ran >>"$1/log"`, name)
			cmd.After = 1
			s.isUnknown(cmd)
			equal(s, "log", s.output(`cat "$1/log" 2>/dev/null; echo end`, name), "end\n")
		}},
		{"WhatMayHaveRunIsStartedOnceAtMost", needsProcesses, func(s *session) {
			name := s.workspace()
			cmd := s.script(`echo ran >>"$1/log"`, name)
			if locator, ok := s.Executor.(exec.Locator); ok { // as whoever recorded where it was to run
				target, err := locator.Locate(s.ctx, s.Target.Name)
				if err != nil {
					s.Fatalf("Locate: %v", err)
				}
				cmd.Target = target
			}
			cmd.Resume = true
			want := ""
			for range 2 {
				c := s.start(cmd, nil)
				s.wait(c)
				switch {
				case c.err == nil:
					want = "ran\n"
				case !isUnknown(c.err):
					s.Errorf("Execute returned the error %v, want a Result, %v or %v", c.err, exec.ErrOutcomeUnknown, exec.ErrLost)
				}
				equal(s, "log", s.output(`cat "$1/log" 2>/dev/null; echo end`, name), want+"end\n")
			}
		}},
		{"WhatMayHaveRunIsNotStartedToBeEnded", needsProcesses, func(s *session) {
			name := s.workspace()
			cmd := s.script(`echo ran >>"$1/log"`, name)
			cmd.Resume = true
			ended, end := context.WithCancel(s.ctx)
			end()
			result, err := s.Executor.Execute(ended, cmd, func([]exec.Line) error { return nil })
			if !isUnknown(err) && !errors.Is(err, exec.ErrNotStarted) {
				s.Errorf("Execute returned %+v and the error %v, want %v", result, err, exec.ErrOutcomeUnknown)
			}
			equal(s, "log", s.output(`cat "$1/log" 2>/dev/null; echo end`, name), "end\n")
		}},
		{"WhatWasForgottenIsNotStartedAgain", needsProcesses, func(s *session) {
			forgetter, ok := s.Executor.(exec.Forgetter)
			if !ok {
				s.Log("not tested: the subject is no exec.Forgetter")
				return
			}
			name := s.workspace()
			cmd := s.script(`echo ran >>"$1/log"`, name)
			s.run(cmd)
			for range 2 {
				equal(s, "Forget", forgetter.Forget(s.ctx, s.Target, cmd.ID), nil)
			}
			for _, resume := range []bool{false, true} {
				cmd.Resume = resume
				c := s.start(cmd, nil)
				s.wait(c)
				if c.err != nil && !isUnknown(c.err) { // it may be followed, as if nobody had forgotten it
					s.Errorf("Execute returned the error %v, want %v", c.err, exec.ErrOutcomeUnknown)
				}
				equal(s, "log", s.output(`cat "$1/log"`, name), "ran\n")
			}
		}},
		{"IDsAreIndependent", 0, func(s *session) {
			for i := range 3 {
				cmd := s.script(fmt.Sprintf("echo %d", i))
				equal(s, "stdout", s.run(cmd).text(exec.Stdout), fmt.Sprintln(i))
			}
		}},
	}
}

// isUnknown reports an error that says that nobody knows how a command ended.
func isUnknown(err error) bool {
	return errors.Is(err, exec.ErrOutcomeUnknown) || errors.Is(err, exec.ErrLost)
}

// isUnknown fails the test unless the command, which the executor cannot know,
// is not started.
func (s *session) isUnknown(cmd exec.Command) {
	s.Helper()
	c := s.start(cmd, nil)
	s.wait(c)
	if !isUnknown(c.err) || len(c.lines()) > 0 {
		s.Errorf("after line %d of an unknown command, Execute gave %s, %+v and the error %v, want %v or %v",
			cmd.After, summary(c.lines()), c.result, c.err, exec.ErrLost, exec.ErrOutcomeUnknown)
	}
}

// followTests: a caller goes on where it was, and many may listen.
func followTests() []subtest {
	return []subtest{
		{"FollowsAfterTheGivenLine", 0, func(s *session) {
			cmd := s.script("seq 1 10; printf tail")
			all := s.run(cmd).lines()
			for after := range uint64(len(all)) + 1 {
				cmd.After = after
				c := s.run(cmd)
				if differ := sameLines(c.lines(), all[after:]); differ != "" {
					s.Errorf("after line %d: %s", after, differ)
				}
			}
		}},
		{"FollowsARunningCommand", needsDetach, func(s *session) {
			cmd := s.script("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.1; done")
			var all []exec.Line
			for attempt := 0; ; attempt++ {
				c := s.start(cmd, nil)
				if attempt == 4 {
					s.wait(c)
					all = append(all, c.lines()...)
					equal(s, "error", c.err, nil)
					equal(s, "lines", c.result.Lines, 10)
					break
				}
				s.until("a line comes", func() bool { return len(c.lines()) > 0 })
				c.detach()
				s.wait(c)
				all = append(all, c.lines()...)
				cmd.After = all[len(all)-1].Seq
			}
			text := ""
			for i, line := range all {
				equal(s, "number", line.Seq, uint64(i)+1)
				text += string(line.Data) + "\n"
			}
			equal(s, "all readings together", text, numbers(1, 10))
			cmd.After = 0
			if differ := sameLines(s.run(cmd).lines(), all); differ != "" {
				s.Errorf("read again from the beginning: %s", differ)
			}
		}},
		{"ConcurrentFollowersSeeTheSame", 0, func(s *session) {
			cmd := s.script("for i in 1 2 3 4 5; do seq 1 200; seq 1 50 >&2; sleep 0.05; done")
			first := s.start(cmd, nil)
			s.untilText(first, "200\n")
			var calls []*call
			for i := range 6 {
				other := cmd
				other.After = uint64(i * 30)
				calls = append(calls, s.start(other, nil))
			}
			s.wait(first)
			equal(s, "error", first.err, nil)
			all := first.lines()
			equal(s, "lines", len(all), 1250)
			for _, c := range calls {
				s.wait(c)
				equal(s, "error", c.err, nil)
				if differ := sameLines(c.lines(), all[min(c.cmd.After, uint64(len(all))):]); differ != "" {
					s.Errorf("reader after line %d: %s", c.cmd.After, differ)
				}
			}
		}},
		{"DetachedCommandKeepsRunning", needsDetach, func(s *session) {
			cmd := s.script("echo first; sleep 1; echo second; exit 6")
			c := s.start(cmd, nil)
			s.untilText(c, "first\n")
			c.detach()
			s.wait(c)
			equal(s, "error", c.err, exec.ErrDetached)
			cmd.After = 1
			again := s.run(cmd)
			equal(s, "rest", again.text(exec.Stdout), "second\n")
			equal(s, "exit code", again.result.ExitCode, 6)
			equal(s, "reason", again.result.Reason, exec.Exited)
		}},
		{"DetachedCommandCanBeCancelled", needsDetach, func(s *session) {
			cmd := s.script("echo $$; sleep 300")
			c := s.start(cmd, nil)
			s.untilText(c, "\n")
			c.detach()
			s.wait(c)
			equal(s, "Cancel", s.Executor.Cancel(s.ctx, s.Target, cmd.ID), nil)
			if !s.NoProcesses {
				s.dead(pids(c)...)
			}
			equal(s, "reason", s.run(cmd).result.Reason, exec.Canceled)
		}},
	}
}
