package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/orchard9/rdev/exec/policy"
)

// ordinary returns the commands of testdata/ordinary.txt. A line within quotes
// goes on in the next.
func ordinary(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/ordinary.txt")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	open := false
	for line := range strings.Lines(string(text)) {
		switch {
		case open:
			commands[len(commands)-1] += line
			open = false
		case !strings.HasPrefix(line, "#"):
			commands = append(commands, line)
			open = strings.HasSuffix(line, `"multi`+"\n") || strings.HasSuffix(line, "'multi\n")
		}
	}
	for i := range commands {
		commands[i] = strings.TrimSuffix(commands[i], "\n")
	}
	return commands
}

// TestOrdinaryCommandsPass: a policy that people work around protects nobody.
func TestOrdinaryCommandsPass(t *testing.T) {
	commands := ordinary(t)
	if len(commands) < 200 {
		t.Fatalf("there are only %d commands", len(commands))
	}
	s := newScratch(t)
	for _, command := range commands {
		plan, err := policy.Policy{}.Plan(shellRequest(command))
		if err != nil {
			t.Errorf("%s\n\t%v", command, err)
			continue
		}
		if !runs(plan) {
			continue
		}
		output, code := s.run(plan)
		if code == -1 || code == 129 || strings.Contains(output, "usage: git") {
			t.Errorf("%s\n\t%q ends with %d: %.300s", command, plan.Argv, code, output)
		}
		for _, complaint := range []string{"unrecognized argument", "bad revision", "ambiguous argument", "pathspec", "not recognized"} {
			if strings.Contains(output, complaint) {
				t.Errorf("%s\n\t%q: %.300s", command, plan.Argv, output)
			}
		}
	}
}

// runs reports whether an accepted command is one that the test can run: it
// needs nothing and talks to nobody.
func runs(plan policy.Plan) bool {
	switch plan.Type {
	case policy.TypeGit:
		for _, arg := range plan.Argv {
			switch arg {
			case "fetch", "pull", "push", "clone", "ls-remote":
				return false
			}
		}
		return true
	case policy.TypeShell:
		switch plan.Argv[0] {
		case "echo", "printf", "ls", "cat", "test", "true", "pwd":
			return true
		}
	}
	return false
}
