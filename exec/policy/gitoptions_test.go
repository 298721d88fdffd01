package policy_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/orchard9/rdev/exec/policy"
)

// TestEveryOtherOptionOfGitIsRefused asks the installed git for all of its
// options, and refuses those that are not in the table, in every spelling that
// git might understand: each beginning of it, with a joined value, in another
// case, and joined to another short option.
func TestEveryOtherOptionOfGitIsRefused(t *testing.T) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	options, spellings := 0, 0
	for _, name := range policy.GitSubcommands() {
		allowed := policy.GitOptionNames(name)
		refuse := func(spelling string) {
			bare, _, _ := strings.Cut(spelling, "=")
			if allowed[bare] || isCount(spelling) && allowed["-<number>"] {
				return
			}
			spellings++
			args := append(strings.Fields(name), spelling, "x")
			if plan, err := (policy.Policy{}).Plan(gitRequest(args...)); err == nil {
				t.Errorf("git %q is accepted as %q", args, plan.Argv)
			}
		}
		for _, option := range optionsOfGit(t, name) {
			bare, _, _ := strings.Cut(option, "=")
			if allowed[bare] {
				continue
			}
			options++
			for _, spelling := range respellings(option) {
				refuse(spelling)
			}
		}
		for _, letter := range letters {
			short := "-" + string(letter)
			if allowed[short] {
				continue
			}
			options++
			for _, spelling := range []string{short, short + "x", short + "/x", short + "=x", short + "1", short + " x", "-" + short} {
				refuse(spelling)
			}
			for other := range allowed {
				if len(other) == 2 && other[0] == '-' {
					refuse(other + string(letter))       // -q and -u as -qu
					refuse(other + string(letter) + "x") // with a value
				}
			}
		}
	}
	if options < 2000 {
		t.Errorf("only %d options were looked at: does this git still list them?", options)
	}
	t.Logf("%d options that are not in the table were refused in %d spellings", options, spellings)
}

// optionsOfGit returns the long options of a subcommand as git itself lists
// them for the completion of shells, with those that it hides. Subcommands that
// have no such list have none here.
func optionsOfGit(t *testing.T, name string) []string {
	t.Helper()
	s := strings.Fields(name)
	out, _ := exec.CommandContext(t.Context(), "git", append(s, "--git-completion-helper-all")...).Output()
	var options []string
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "--") && word != "--" {
			options = append(options, word)
		}
	}
	return options
}
