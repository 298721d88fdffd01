package exectest

import (
	"fmt"
	"strconv"
	"time"

	"github.com/orchard9/rdev/exec"
)

// outcomeTests: a process that was seen to end is a Result.
func outcomeTests() []subtest {
	return []subtest{
		{"ReportsTheExitCode", 0, func(s *session) {
			for _, code := range []int{0, 1, 7, 127, 255} {
				c := s.run(s.script("exit " + strconv.Itoa(code)))
				equal(s, fmt.Sprintf("exit code of exit %d", code), c.result.ExitCode, code)
				equal(s, "signal", c.result.Signal, "")
				equal(s, "reason", c.result.Reason, exec.Exited)
			}
		}},
		{"ReportsTheSignal", needsProcesses, func(s *session) {
			for _, name := range []string{"KILL", "TERM", "SEGV"} {
				c := s.run(s.script("kill -" + name + " $$; sleep 60"))
				equal(s, "exit code", c.result.ExitCode, -1)
				equal(s, "signal", c.result.Signal, "SIG"+name)
				equal(s, "reason of a signal that came from elsewhere", c.result.Reason, exec.Exited)
			}
		}},
		{"CountsWhatWasWritten", 0, func(s *session) {
			c := s.run(s.script("echo four; echo sixsix >&2; printf tail"))
			equal(s, "bytes of stdout", c.result.StdoutBytes, 9)
			equal(s, "bytes of stderr", c.result.StderrBytes, 7)
			equal(s, "lines", c.result.Lines, 3)
			equal(s, "truncated", c.result.Truncated, false)
		}},
		{"TellsTheTimes", 0, func(s *session) {
			c := s.run(s.script("echo a; sleep 0.2"))
			r := c.result
			if r.Started.IsZero() || r.Ended.Before(r.Started) {
				s.Errorf("started %v, ended %v", r.Started, r.Ended)
			}
			if r.Duration < 150*time.Millisecond || r.Duration > s.Patience {
				s.Errorf("a command that sleeps for 200 ms took %v", r.Duration)
			}
			for _, line := range c.lines() {
				if line.Time.Before(r.Started.Add(-time.Second)) || line.Time.After(r.Ended.Add(time.Second)) {
					s.Errorf("a line of %v from a command that ran from %v to %v", line.Time, r.Started, r.Ended)
				}
			}
		}},
		{"SilentCommandHasNoLines", 0, func(s *session) {
			c := s.run(s.command("true"))
			equal(s, "lines", len(c.lines()), 0)
			equal(s, "exit code", c.result.ExitCode, 0)
		}},
		{"CommandsRunSideBySide", 0, func(s *session) {
			var calls []*call
			for i := range 20 {
				calls = append(calls, s.start(s.script(fmt.Sprintf("echo %d; sleep 0.3; exit %d", i, i)), nil))
			}
			for i, c := range calls {
				s.wait(c)
				equal(s, "error", c.err, nil)
				equal(s, "exit code", c.result.ExitCode, i)
				equal(s, "stdout", c.text(exec.Stdout), fmt.Sprintln(i))
			}
		}},
	}
}

// refusalTests: an error means that there is no exit code, and says why.
func refusalTests() []subtest {
	return []subtest{
		{"AbsentProgramIsErrProgramNotFound", 0, func(s *session) {
			s.fails(s.command("exectest-no-such-program"), exec.ErrProgramNotFound)
			s.fails(s.command("/exectest/no/such/program", "x"), exec.ErrProgramNotFound)
		}},
		{"UnexecutableProgramIsErrNotExecutable", needsProcesses, func(s *session) {
			name := s.workspace()
			s.output(`printf 'echo hi\n' >"$1/plain"; chmod 644 "$1/plain"`, name)
			s.fails(s.command("./"+name+"/plain"), exec.ErrNotExecutable)
		}},
		{"UnknownTargetIsErrTargetNotFound", 0, func(s *session) {
			cmd := s.command("true")
			cmd.Target = exec.Target{Name: s.Absent}
			s.fails(cmd, exec.ErrTargetNotFound)
		}},
		{"InvalidCommandIsErrInvalidCommand", 0, func(s *session) {
			for _, spoil := range []func(*exec.Command){
				func(c *exec.Command) { c.ID = "" },
				func(c *exec.Command) { c.ID = "../" + c.ID },
				func(c *exec.Command) { c.Argv = nil },
				func(c *exec.Command) { c.Argv = []string{""} },
				func(c *exec.Command) { c.Argv = []string{"echo", "a\x00b"} },
				func(c *exec.Command) { c.Argv = []string{"echo", "\xff"} },
				func(c *exec.Command) { c.Env = map[string]string{"A=B": "c"} },
				func(c *exec.Command) { c.Timeout = -1 },
			} {
				cmd := s.command("echo", "hi")
				spoil(&cmd)
				s.fails(cmd, exec.ErrInvalidCommand)
			}
		}},
		{"DirOutsideTheWorkspaceIsRefused", needsProcesses, func(s *session) {
			name := s.workspace()
			s.output(`mkdir "$1/in" && ln -s / "$1/root" && ln -s ../.. "$1/up"`, name)
			for _, dir := range []string{"..", "/", "/tmp", name + "/../..", name + "/in/../../..", name + "/root", name + "/up", name + "/root/tmp"} {
				cmd := s.command("pwd")
				cmd.Dir = dir
				s.fails(cmd, exec.ErrInvalidCommand)
			}
		}},
		{"AbsentDirIsRefused", needsProcesses, func(s *session) {
			cmd := s.command("pwd")
			cmd.Dir = s.workspace() + "/no-such-folder"
			s.fails(cmd, exec.ErrInvalidCommand)
		}},
		{"LocateNamesTheInstance", 0, func(s *session) {
			locator, ok := s.Executor.(exec.Locator)
			if !ok {
				s.Log("not tested: the subject is no exec.Locator")
				return
			}
			target, err := locator.Locate(s.ctx, s.Target.Name)
			if err != nil {
				s.Fatalf("Locate: %v", err)
			}
			equal(s, "name", target.Name, s.Target.Name)
			if target.Instance == "" {
				s.Error("Locate returned no Instance")
			}
			cmd := s.script("echo here")
			cmd.Target = target
			equal(s, "stdout", s.run(cmd).text(exec.Stdout), "here\n")
			cmd = s.script("echo here")
			cmd.Target = exec.Target{Name: target.Name, Instance: target.Instance + "-gone"}
			s.fails(cmd, exec.ErrLost)
			if _, err = locator.Locate(s.ctx, s.Absent); err == nil {
				s.Error("Locate found a target that is not there")
			}
		}},
	}
}
