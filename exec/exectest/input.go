package exectest

import (
	"strings"

	"github.com/orchard9/rdev/exec"
)

// workspace makes a folder in the target's workspace for the subtest, removes
// it at the end, and returns its name.
func (s *session) workspace() string {
	s.Helper()
	name := newID()
	s.output(`mkdir "$1"`, name)
	s.Cleanup(func() { s.output(`rm -rf "./$1"`, name) })
	return name
}

// inputTests: the command gets its arguments, environment, folder and input as
// they were given.
func inputTests() []subtest {
	return []subtest{
		{"ArgumentsArriveUnchanged", 0, func(s *session) {
			args := []string{"", " ", "a b", "$HOME", "`id`", "$(id)", "a;b", "*", `"`, `'`, `\`, "-n", "--", "two\nlines", "tab\t", "\r", "ü", "日本", "\x01\x7f"}
			want := ""
			for _, arg := range args {
				want += "<" + arg + ">\n"
			}
			c := s.run(s.command(append([]string{"printf", `<%s>\n`}, args...)...))
			equal(s, "arguments", c.text(exec.Stdout), want)
		}},
		{"EnvironmentIsAdded", needsProcesses, func(s *session) {
			cmd := s.script(`printf '%s|%s|%s\n' "$EXECTEST_A" "$EXECTEST_B" "${PATH:+path}"`)
			cmd.Env = map[string]string{"EXECTEST_A": "a b=c\n$x", "EXECTEST_B": ""}
			equal(s, "environment", s.run(cmd).text(exec.Stdout), "a b=c\n$x||path\n")
		}},
		{"DirIsTheWorkingFolder", needsProcesses, func(s *session) {
			name := s.workspace()
			s.output(`mkdir -p "$1/a/b" && echo found >"$1/a/b/file"`, name)
			for _, dir := range []string{name + "/a/b", "./" + name + "/a/../a/b/", name + "/a/b/."} {
				cmd := s.command("cat", "file")
				cmd.Dir = dir
				equal(s, "file in "+dir, s.run(cmd).text(exec.Stdout), "found\n")
			}
			equal(s, "without Dir", s.output(`cat "$1/a/b/file"`, name), "found\n")
		}},
		{"StdinIsEmptyByDefault", 0, func(s *session) {
			c := s.run(s.command("cat"))
			equal(s, "exit code", c.result.ExitCode, 0)
			equal(s, "lines", len(c.lines()), 0)
		}},
		{"StdinIsGivenWhole", 0, func(s *session) {
			cmd := s.command("cat")
			cmd.Stdin = []byte(strings.Repeat("all of the input, line by line\n", 40000)) // more than pipes hold
			c := s.run(cmd)
			equal(s, "bytes", c.result.StdoutBytes, int64(len(cmd.Stdin)))
			equal(s, "output is input", c.text(exec.Stdout) == string(cmd.Stdin), true)
			cmd = s.command("cat")
			cmd.Stdin = []byte{}
			equal(s, "lines of an empty input", len(s.run(cmd).lines()), 0)
		}},
		{"UnreadStdinIsNoFailure", 0, func(s *session) {
			cmd := s.script("exit 3")
			cmd.Stdin = make([]byte, 1<<20)
			equal(s, "exit code", s.run(cmd).result.ExitCode, 3)
		}},
	}
}
