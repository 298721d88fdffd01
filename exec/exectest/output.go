package exectest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/orchard9/rdev/exec"
)

// outputTests: no byte is lost, repeated or changed.
func outputTests() []subtest {
	return []subtest{
		{"SplitsAtNewlineAlone", 0, func(s *session) {
			cmd := s.command("cat")
			cmd.Stdin = []byte("a\r\nb\rc\n\n\f\v\u0085\u2028d\nlast\n")
			lines := s.run(cmd).lines()
			want := []string{"a\r", "b\rc", "", "\f\v\u0085\u2028d", "last"}
			if len(lines) != len(want) {
				s.Fatalf("got %s, want %q", summary(lines), want)
			}
			for i, line := range lines {
				equal(s, fmt.Sprintf("line %d", i+1), string(line.Data), want[i])
				equal(s, fmt.Sprintf("line %d is partial", i+1), line.Partial, false)
			}
		}},
		{"BytesAreKept", 0, func(s *session) {
			cmd := s.command("cat")
			for i := range 1024 {
				cmd.Stdin = append(cmd.Stdin, byte(i), byte(i>>3), byte(255-i))
			}
			equal(s, "stdout", s.run(cmd).text(exec.Stdout), string(cmd.Stdin))
		}},
		{"TailWithoutNewlineIsPartial", 0, func(s *session) {
			lines := s.run(s.script(`printf 'a\nb'`)).lines()
			if len(lines) != 2 {
				s.Fatalf("got %s, want the lines a and b", summary(lines))
			}
			equal(s, "first", string(lines[0].Data), "a")
			equal(s, "first is partial", lines[0].Partial, false)
			equal(s, "second", string(lines[1].Data), "b")
			equal(s, "second is partial", lines[1].Partial, true)
		}},
		{"PromptIsFlushed", needsFlush, func(s *session) {
			c := s.start(s.script(`printf 'name? '; sleep 300`), nil)
			s.untilText(c, "name? ")
			equal(s, "the prompt is partial", c.lines()[0].Partial, true)
			c.cancel()
			s.wait(c)
			equal(s, "stdout", c.text(exec.Stdout), "name? ")
			c = s.run(s.script(`printf 'name? '; sleep 1; echo me`))
			equal(s, "stdout", c.text(exec.Stdout), "name? me\n")
			equal(s, "lines", len(c.lines()), 2)
		}},
		{"LongLinesComeInPieces", 0, func(s *session) {
			for _, size := range []int{exec.MaxLine - 1, exec.MaxLine, exec.MaxLine + 1, 3*exec.MaxLine + 7} {
				cmd := s.command("cat")
				cmd.Stdin = append(bytes.Repeat([]byte("x"), size), '\n')
				cmd.Stdin = append(cmd.Stdin, "next\n"...)
				c := s.run(cmd)
				lines := c.lines()
				equal(s, fmt.Sprintf("%d bytes are kept", size), c.text(exec.Stdout) == string(cmd.Stdin), true)
				if len(lines) < 2 {
					s.Fatalf("%d bytes came as %s", size, summary(lines))
				}
				for i, line := range lines {
					whole := i >= len(lines)-2 // the last piece, and the next line
					equal(s, fmt.Sprintf("%d bytes: piece %d is partial", size, i+1), line.Partial, !whole)
				}
			}
		}},
		{"StreamsAreKeptApart", 0, func(s *session) {
			c := s.run(s.script(`echo one; echo two >&2; echo three; printf four >&2`))
			equal(s, "stdout", c.text(exec.Stdout), "one\nthree\n")
			equal(s, "stderr", c.text(exec.Stderr), "two\nfour")
		}},
		{"NumbersHaveNoHolesOverBothStreams", 0, func(s *session) {
			c := s.run(s.script(`seq 1 3000; seq 1 3000 >&2; seq 3001 4000`))
			lines := c.lines()
			equal(s, "lines", ended(lines), 7000)
			if len(lines) > 0 {
				equal(s, "first", lines[0].Seq, 1)
				equal(s, "last", lines[len(lines)-1].Seq, c.result.Lines)
			}
			equal(s, "stdout", c.text(exec.Stdout), numbers(1, 4000))
			equal(s, "stderr", c.text(exec.Stderr), numbers(1, 3000))
		}},
		{"MuchOutputArrivesWhole", 0, func(s *session) {
			c := s.run(s.command("seq", "1", "200000"))
			equal(s, "lines", ended(c.lines()), 200000)
			equal(s, "lines counted", c.result.Lines, uint64(len(c.lines())))
			equal(s, "stdout is whole", c.text(exec.Stdout) == numbers(1, 200000), true)
		}},
		{"OutputPastTheCapIsCountedAndDropped", 0, func(s *session) {
			cmd := s.command("seq", "1", "10000")
			cmd.MaxOutput = 1000
			c := s.run(cmd)
			kept := c.text(exec.Stdout)
			equal(s, "truncated", c.result.Truncated, true)
			equal(s, "exit code", c.result.ExitCode, 0)
			equal(s, "bytes counted", c.result.StdoutBytes, int64(len(numbers(1, 10000))))
			if len(kept) > 1001 || len(kept) < 900 || !strings.HasPrefix(numbers(1, 10000), strings.TrimSuffix(kept, "\n")) {
				s.Errorf("of a cap of 1000 bytes %d were kept: %.300q", len(kept), kept)
			}
		}},
		{"CapHoldsForBothStreamsTogether", 0, func(s *session) {
			cmd := s.script("seq 1 1000; seq 1 1000 >&2")
			cmd.MaxOutput = 2000
			c := s.run(cmd)
			equal(s, "truncated", c.result.Truncated, true)
			if kept := len(c.text(exec.Stdout)) + len(c.text(exec.Stderr)); kept > 2002 {
				s.Errorf("of a cap of 2000 bytes %d were kept", kept)
			}
		}},
		{"OutputUpToTheCapIsKept", 0, func(s *session) {
			for _, limit := range []int64{int64(len(numbers(1, 500))), -1} {
				cmd := s.command("seq", "1", "500")
				cmd.MaxOutput = limit
				c := s.run(cmd)
				equal(s, "truncated", c.result.Truncated, false)
				equal(s, "stdout", c.text(exec.Stdout), numbers(1, 500))
			}
		}},
		{"LinesComeWhileTheCommandRuns", 0, func(s *session) {
			c := s.start(s.script("echo first; sleep 300"), nil)
			s.untilText(c, "first\n")
			select {
			case <-c.done:
				s.Errorf("the command has ended: %+v, %v", c.result, c.err)
			case <-time.After(20 * time.Millisecond):
			}
			c.cancel()
			s.wait(c)
		}},
	}
}

// numbers returns what seq prints.
func numbers(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// ended returns how many lines have an end. On a busy machine, one may come in
// pieces: the command pauses within it when nobody takes what it writes.
func ended(lines []exec.Line) (n int) {
	for i := range lines {
		if !lines[i].Partial {
			n++
		}
	}
	return n
}
