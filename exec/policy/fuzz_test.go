package policy_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
)

// FuzzPolicy: no text makes the policy panic; every answer is well-formed; and
// an accepted command line, quoted word by word, means the same again.
func FuzzPolicy(f *testing.F) {
	for _, command := range ordinary(f) {
		f.Add(command)
	}
	text, err := os.ReadFile("testdata/pasted.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f.Add("echo " + strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(line))
	}
	f.Fuzz(func(t *testing.T, command string) {
		for _, p := range []policy.Policy{{}, {Level: policy.Strict, Programs: []string{"echo", "ls"}}} {
			plan, err := p.Plan(shellRequest(command))
			if err != nil {
				wellFormed(t, command, err)
				continue
			}
			if plan.Shell || len(plan.Argv) == 0 || plan.Argv[0] == "" {
				t.Fatalf("%q: %+v", command, plan)
			}
			for _, arg := range plan.Argv {
				if !utf8.ValidString(arg) || strings.Contains(arg, "\x00") {
					t.Fatalf("%q: argument %q", command, arg)
				}
			}
			if plan.Type != policy.TypeShell {
				continue
			}
			quoted := make([]string, len(plan.Argv))
			for i, arg := range plan.Argv {
				quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
			}
			again, err := p.Plan(shellRequest(strings.Join(quoted, " ")))
			if err != nil {
				if len(command) > policy.MaxCommand/4 {
					continue // the quotes made it too long
				}
				t.Fatalf("%q is accepted, and its words are not: %v", command, err)
			}
			if strings.Join(again.Argv, "\x00") != strings.Join(plan.Argv, "\x00") {
				t.Fatalf("%q: %q and quoted %q", command, plan.Argv, again.Argv)
			}
		}
	})
}

// FuzzGit: an accepted git command holds no option of the caller that is not
// in the table, and nothing of it stands before the subcommand.
func FuzzGit(f *testing.F) {
	for _, command := range ordinary(f) {
		if args, ok := strings.CutPrefix(command, "git "); ok {
			f.Add(strings.ReplaceAll(args, " ", "\n"))
		}
	}
	f.Add("log\n--output=x")
	f.Add("commit\n-m\n--amend")
	options := map[string]map[string]bool{}
	for _, name := range policy.GitSubcommands() {
		options[name] = policy.GitOptionNames(name)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		plan, err := policy.Policy{}.Plan(gitRequest(args...))
		if err != nil {
			wellFormed(t, "", err)
			return
		}
		at := 2
		for plan.Argv[at] == "-c" {
			at += 2
		}
		rest := plan.Argv[at:]
		allowed, ok := options[rest[0]]
		if !ok {
			t.Fatalf("%q became %q", args, plan.Argv)
		}
		if len(rest) > 1 && options[rest[0]+" "+rest[1]] != nil {
			allowed = options[rest[0]+" "+rest[1]]
		}
		for i, arg := range rest[1:] {
			name, _, _ := strings.Cut(arg, "=")
			switch previous := rest[i]; {
			case arg == "--":
				return
			case !strings.HasPrefix(arg, "-"), allowed[name], arg == "--no-ext-diff", arg == "--no-textconv", allowed["-<number>"] && isCount(arg):
			case previous == "-m", previous == "-am", previous == "--message": // the text of a message
			default:
				t.Fatalf("%q became %q with the option %q", args, rest, arg)
			}
		}
	})
}

func wellFormed(t *testing.T, command string, err error) {
	t.Helper()
	var refusal *policy.Refusal
	var field *exec.FieldError
	switch {
	case errors.As(err, &refusal):
		if refusal.Code == "" || refusal.Reason == "" || len(refusal.Token) > 64 || !utf8.ValidString(refusal.Token) {
			t.Fatalf("%q: %+v", command, refusal)
		}
		if refusal.Field == "command" && (refusal.Column < 1 || refusal.Column > len(command)+1) {
			t.Fatalf("%q: column %d", command, refusal.Column)
		}
	case errors.As(err, &field):
		if field.Field == "" {
			t.Fatalf("%q: %+v", command, field)
		}
	default:
		t.Fatalf("%q: the error %v is of no known kind", command, err)
	}
}
