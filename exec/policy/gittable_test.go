package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/exec/policy"
)

// TestGitKnowsTheTable runs every option of the table: one that the real git
// does not know is a mistake in the table.
func TestGitKnowsTheTable(t *testing.T) {
	s := newScratch(t)
	for _, name := range policy.GitSubcommands() {
		for _, option := range policy.GitOptions(name) {
			args := append(strings.Fields(name), option...)
			plan, err := policy.Policy{}.Plan(gitRequest(args...))
			if err != nil {
				t.Errorf("git %q is in the table: %v", args, err)
				continue
			}
			output, code := s.run(plan)
			if code == -1 {
				t.Errorf("git %q: %s", args, output)
			}
			for _, complaint := range []string{"unknown option", "unknown switch", "unrecognized argument", "invalid option", "unknown non-ascii option", "requires a value", "takes no value", "expects a numerical value"} {
				if strings.Contains(output, complaint) {
					t.Errorf("git %q: %.200s", args, output)
					break
				}
			}
		}
	}
}

// TestGitOptionsAreExact: whatever is not in the table letter for letter is
// refused: every beginning of an option, other cases, joined values.
func TestGitOptionsAreExact(t *testing.T) {
	dangerous := []string{
		"--exec-path=x", "--git-dir=x", "--work-tree=x", "--namespace=x", "--config-env=a=b", "--paginate", "--bare-x", "--super-prefix=x",
		"--upload-pack=x", "--receive-pack=x", "--exec=x", "--template=x", "--config=a=b", "--output=x", "--output-directory=x", "--ext-diff", "--textconv",
		"--open-files-in-pager=x", "--interactive", "--edit", "--file=x", "--pathspec-from-file=x", "--recurse-submodules", "--no-index", "--gpg-sign",
		"--show-signature", "--sign", "--verify-signatures", "--extcmd=x", "--tool=x", "--server-option=x", "--push-option=x", "--reference=x", "--separate-git-dir=x",
		"--remote=x", "--prefix=x", "--contents=x", "--ignore-revs-file=x", "--exclude-from=x", "--exclude-per-directory=x", "--stdin", "--batch", "--filters", "--trailer=x",
		"--refmap=x", "--negotiation-tip=x", "--bundle-uri=x", "--resolve-git-dir", "--parseopt", "--sq-quote", "--unset", "--replace-all", "--global", "--system", "--add-x", "--shared", "--object-dir=x",
		"--strategy=evil", "-c", "-C/", "-O", "-Oless", "-u/x", "-ux", "-oProxyCommand=x", "-xsh", "-Xtheirs;x", "-i-", "-e", "-F/etc/passwd", "-S/x", "-t/x", "-f/x",
	}
	for _, name := range policy.GitSubcommands() {
		allowed := policy.GitOptionNames(name)
		refused := slices.Clone(dangerous)
		for option := range allowed {
			refused = append(refused, option)
		}
		for _, option := range refused {
			for _, spelling := range respellings(option) {
				bare, _, _ := strings.Cut(spelling, "=")
				if allowed[bare] || isCount(spelling) && allowed["-<number>"] {
					continue
				}
				args := append(strings.Fields(name), spelling, "x")
				if plan, err := (policy.Policy{}).Plan(gitRequest(args...)); err == nil {
					t.Errorf("git %q is accepted as %q", args, plan.Argv)
				}
			}
		}
	}
}

// respellings returns an option, its proper beginnings, variants of its case,
// and forms with a joined value.
func respellings(option string) []string {
	bare, _, _ := strings.Cut(option, "=")
	all := []string{option, bare, bare + "=x", strings.ToUpper(option), strings.ToUpper(bare), "-" + bare, bare + "x", bare + "=", bare + " x"}
	if strings.HasPrefix(bare, "--") {
		for end := 3; end < len(bare); end++ {
			all = append(all, bare[:end], bare[:end]+"=x", strings.ToUpper(bare[:end]))
		}
	} else {
		all = append(all, bare+"/x", bare+"1x", bare+bare[1:])
	}
	return slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, "-") || s == "--" || s == "-" })
}

func isCount(s string) bool {
	return len(s) > 1 && strings.Trim(s[1:], "0123456789") == ""
}
