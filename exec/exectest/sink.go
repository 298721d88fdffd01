package exectest

import (
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/exec"
)

// sinkTests: how lines are handed over. That batches are not empty, that one
// call is made at a time and none after Execute has returned, is checked in
// every subtest by the record.
func sinkTests() []subtest {
	return []subtest{
		{"NoCallAfterReturn", 0, func(s *session) {
			c := s.start(s.script("seq 1 1000; sleep 0.2; echo last"), nil)
			s.untilText(c, "1000\n")
			c.cancel()
			s.wait(c)
			before := len(c.lines())
			time.Sleep(300 * time.Millisecond)
			equal(s, "lines later", len(c.lines()), before)
		}},
		{"SinkErrorCancels", 0, func(s *session) {
			full := errors.New("the disk of the reader is full")
			c := s.start(s.script("echo $$; sleep 300"), func([]exec.Line) error { return fmt.Errorf("write: %w", full) })
			s.wait(c)
			if !errors.Is(c.err, full) {
				s.Errorf("Execute returned %+v and the error %v, want the sink's", c.result, c.err)
			}
			again := s.run(c.cmd)
			equal(s, "reason", again.result.Reason, exec.Canceled)
			if !s.NoProcesses {
				s.dead(pids(again)...)
			}
		}},
		{"SinkErrorIsTheLastCall", 0, func(s *session) {
			calls := 0
			c := s.start(s.script("seq 1 100000"), func([]exec.Line) error {
				calls++
				return errors.New("enough")
			})
			s.wait(c)
			if c.err == nil {
				s.Error("Execute returned no error, want the sink's")
			}
			equal(s, "calls", calls, 1)
		}},
		{"SinkErrDetachedLeavesItRunning", needsDetach, func(s *session) {
			c := s.start(s.script("echo first; sleep 1; echo second"), func([]exec.Line) error {
				return fmt.Errorf("leaving: %w", exec.ErrDetached)
			})
			s.wait(c)
			if !errors.Is(c.err, exec.ErrDetached) {
				s.Errorf("Execute returned %+v and the error %v, want ErrDetached", c.result, c.err)
			}
			c.cmd.After = 1
			again := s.run(c.cmd)
			equal(s, "rest", again.text(exec.Stdout), "second\n")
			equal(s, "reason", again.result.Reason, exec.Exited)
		}},
		{"SlowSinkHoldsNobodyUp", 0, func(s *session) {
			release := make(chan struct{})
			cmd := s.command("seq", "1", "100000") // more than pipes and buffers hold
			slow := s.start(cmd, func([]exec.Line) error {
				<-release
				return nil
			})
			s.Cleanup(func() {
				select {
				case <-release:
				default:
					close(release)
				}
			})
			s.until("the slow reader has a line", func() bool { return len(slow.lines()) > 0 })
			fast := s.run(cmd)
			equal(s, "exit code while another reader hangs", fast.result.ExitCode, 0)
			equal(s, "stdout is whole", fast.text(exec.Stdout) == numbers(1, 100000), true)
			close(release)
			s.wait(slow)
			equal(s, "error of the slow reader", slow.err, nil)
			equal(s, "its stdout is whole", slow.text(exec.Stdout) == numbers(1, 100000), true)
		}},
	}
}
