package policy_test

import (
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/exec/policy"
)

// TestWordsAreThoseOfTheShell compares the argv of accepted commands with what
// real shells make of the same text.
func TestWordsAreThoseOfTheShell(t *testing.T) {
	pieces := []string{
		"a", "b", "Z", "0", "7", "-", "--x", "=", ":", ".", "..", "/", ",", "@", "%", "+", "_", "^", "é", "日",
		" ", " ", " ", "\t", "  ", "'", "'", `"`, `"`, `\`, `\\`, "\\\n", "$", "$'", `$"`, "~", "{", "}", "*", "?", "[", "]", "!", "#",
		";", "&", "|", "<", ">", "(", ")", "`", "\n", "''", `""`, "'x y'", `"x y"`, "'$(z)'", `"\$a"`, "\\`", `\'`, "A=b", "{}", "HEAD@{1}", "f\"\\", "a$", "$1", "~/", "=~", "{1..", "{a,",
	}
	random := rand.New(rand.NewPCG(7, 42))
	const wanted = 6000
	var accepted [][]string // command and its argv
	tried := 0
	for ; len(accepted) < wanted && tried < 400000; tried++ {
		var b strings.Builder
		for range 1 + random.IntN(9) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		text := "printf %s x " + b.String()
		plan, err := policy.Policy{}.Plan(policy.Request{Shell: &policy.Shell{Command: text}})
		if err == nil {
			accepted = append(accepted, append([]string{b.String()}, plan.Argv[2:]...))
		}
	}
	if len(accepted) < wanted {
		t.Fatalf("of %d commands only %d were accepted", tried, len(accepted))
	}
	for _, shell := range []string{"dash", "bash", "sh", "busybox"} {
		argv := []string{shell}
		if shell == "busybox" {
			argv = append(argv, "sh")
		}
		if _, err := exec.LookPath(shell); err != nil {
			if shell == "sh" {
				t.Errorf("%s is needed: %v", shell, err)
			}
			continue
		}
		t.Run(shell, func(t *testing.T) {
			dir := t.TempDir() // a redirection that slipped through would write here
			for batch := range slices.Chunk(accepted, 500) {
				args := append(slices.Clone(argv), "-c", `for s do eval "printf '%s\000' x $s"; printf '\001\n'; done`, "sh")
				for _, item := range batch {
					args = append(args, item[0])
				}
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/nowhere"}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %.500s", err, out)
				}
				outputs := strings.Split(string(out), "\x01\n")
				if len(outputs) != len(batch)+1 {
					t.Fatalf("%d commands gave %d outputs", len(batch), len(outputs)-1)
				}
				for i, item := range batch {
					want := strings.Join(item[1:], "\x00") + "\x00"
					if outputs[i] != want {
						t.Errorf("%q: the shell passes %q, the policy %q", item[0], outputs[i], want)
					}
				}
			}
		})
	}
	t.Logf("%d of %d generated commands were accepted", len(accepted), tried)
}
