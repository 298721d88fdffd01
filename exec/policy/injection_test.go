package policy_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec/policy"
)

// TestPastedValueNeverRuns puts hostile values into the places of commands where
// values stand, and really runs what is accepted. The same commands are given
// to real shells first, so that the lists are known to bite.
func TestPastedValueNeverRuns(t *testing.T) {
	for list, potent := range map[string]int{"pasted.txt": 80, "published.txt": 120} {
		t.Run(list, func(t *testing.T) { valuesNeverRun(t, "testdata/"+list, potent) })
	}
}

// touches are the ways in which the commands of a published list touch the
// canary.
var touches = []string{"touch CANARY", "touch${IFS}CANARY"}

// values reads a list. CANARY stands for the path of the canary.
func values(t *testing.T, file, canary string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	add := func(line string) {
		all = append(all, strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t", "%0A", "\n", "%0D", "\r", "CANARY", canary).Replace(line))
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "# ") || line == "":
		case strings.Contains(line, "COMMAND"):
			for _, touch := range touches {
				add(strings.ReplaceAll(line, "COMMAND", touch))
			}
		default:
			add(line)
		}
	}
	return all
}

func valuesNeverRun(t *testing.T, file string, wanted int) {
	templates := []string{"VALUE", "echo VALUE", `echo "VALUE"`, "echo 'VALUE'", "git log --author=VALUE", `git commit --allow-empty -m "VALUE"`, "git show VALUE", "git checkout -b VALUE", "ls -- VALUE x"}
	s := newScratch(t)
	potent, accepted, total := 0, 0, 0
	ran := map[string]bool{} // every argv is run once
	for _, value := range values(t, file, s.canary) {
		if value == "touch "+s.canary {
			continue // a whole command, and no value in one: what it does is allowed
		}
		bites := false
		for _, template := range templates {
			command := strings.ReplaceAll(template, "VALUE", value)
			total++
			if !bites {
				bites = s.bites(command)
			}
			for _, p := range []policy.Policy{{}, {Level: policy.Strict, Programs: []string{"echo", "ls", "printf"}}, {Level: policy.Permissive}} {
				for _, request := range []policy.Request{shellRequest(command), asArgv(template, value), asGit(template, value)} {
					plan, err := p.Plan(request)
					if err != nil {
						continue
					}
					accepted++
					argv := strings.Join(plan.Argv, "\x00")
					if !runs(plan) || ran[argv] {
						continue
					}
					ran[argv] = true
					s.run(plan)
					if s.bitten() {
						t.Errorf("level %q runs %q within %q as %q", p.Level, value, command, plan.Argv)
					}
				}
			}
		}
		if bites {
			potent++
		}
	}
	if potent < wanted {
		t.Errorf("only %d of the values harm a real shell", potent)
	}
	t.Logf("%d values harm a real shell; of %d commands with them, %d plans were accepted, %d different ones were run, none did harm", potent, total, accepted, len(ran))
}

// bites reports whether a shell that is given the command touches the canary.
// It is another one than that of the plans, since this may happen late, in the
// background.
func (s *scratch) bites(command string) bool {
	shell := *s
	shell.canary += "-shell"
	command = strings.ReplaceAll(command, s.canary, shell.canary)
	for _, program := range []string{"sh", "bash"} {
		cmd := exec.Command(program, "-c", command)
		cmd.Dir, cmd.Env, cmd.WaitDelay = s.dir, []string{"PATH=/usr/bin:/bin", "HOME=" + s.home}, time.Second
		_ = cmd.Run()
		for range 5 { // in the background
			if shell.bitten() {
				return true
			}
			if !strings.Contains(command, "&") {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return false
}

func asArgv(template, value string) policy.Request {
	argv := strings.Fields(template)
	for i := range argv {
		argv[i] = strings.ReplaceAll(strings.Trim(argv[i], `"'`), "VALUE", value)
	}
	return argvRequest(argv...)
}

func asGit(template, value string) policy.Request {
	request := asArgv(template, value)
	return gitRequest(request.Shell.Argv[1:]...)
}

// TestStrictContainsHostileCommands: in level Strict a caller who tries cannot
// run a program that is not listed.
func TestStrictContainsHostileCommands(t *testing.T) {
	s := newScratch(t)
	strict := policy.Policy{Level: policy.Strict, Programs: []string{"ls", "cat", "echo", "printf", "grep"}}
	for _, command := range []string{
		"touch CANARY", "/usr/bin/touch CANARY", "env touch CANARY", "env -S 'touch CANARY'", "nice touch CANARY", "nohup touch CANARY", "timeout 5 touch CANARY",
		"setsid touch CANARY", "stdbuf -o0 touch CANARY", "xargs touch CANARY", "find . -maxdepth 0 -exec touch CANARY ;", `find . -fprint CANARY`, "sh -c 'touch CANARY'",
		"bash -c 'touch CANARY'", "sh script.sh", "awk 'BEGIN{system(\"touch CANARY\")}'", "perl -e 'open F,\">CANARY\"'", "python3 -c 'open(\"CANARY\",\"w\")'", "sed -n '1w CANARY' README.md",
		"tar cf /dev/null README.md --checkpoint=1 --checkpoint-action=exec=touch\\ CANARY", "tee CANARY", "cp README.md CANARY", "mv README.md CANARY", "ln -s x CANARY", "dd of=CANARY if=README.md",
		"ssh -oProxyCommand='touch CANARY' x", "rsync -e 'touch CANARY' x y:z", "make -f x.mk", "busybox touch CANARY", "./git status", "bin/ls", "/bin/ls", "LS", "ls;touch CANARY", "GIT status",
		"install README.md CANARY", "sort -o CANARY README.md", "split README.md CANARY", "script -c 'touch CANARY'", "flock x touch CANARY", "git-shell -c x", "vi -c ':!touch CANARY'", "less README.md", "man ls",
	} {
		command = strings.ReplaceAll(command, "CANARY", s.canary)
		plan, err := strict.Plan(shellRequest(command))
		if err == nil {
			s.run(plan)
			t.Errorf("%s is accepted as %q; canary: %v", command, plan.Argv, s.bitten())
		}
	}
	for _, command := range []string{"ls -la", "cat README.md", "echo 'a; b'", "git status", "grep -n x README.md", "claude -p hi"} {
		if _, err := strict.Plan(shellRequest(command)); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := strict.Plan(argvRequest("git", "status")); err != nil {
		t.Error(err)
	}
}

// TestPublishedArgumentsAreRefused: git takes none of them in any level without
// a shell, and what other programs would do with theirs does not matter where
// they are not listed.
func TestPublishedArgumentsAreRefused(t *testing.T) {
	s := newScratch(t)
	text, err := os.ReadFile("testdata/arguments.txt")
	if err != nil {
		t.Fatal(err)
	}
	vectors := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		vectors++
		argv := strings.Fields(line)
		for i := range argv {
			argv[i] = strings.ReplaceAll(strings.ReplaceAll(argv[i], "·", " "), "CANARY", s.canary)
		}
		for _, p := range []policy.Policy{{Level: policy.Strict, Programs: []string{"ls", "cat", "echo"}}, {}} {
			if p.Level == "" && argv[0] != "git" && argv[0] != "env" {
				continue
			}
			requests := []policy.Request{argvRequest(argv...)}
			if argv[0] == "git" {
				requests = append(requests, gitRequest(argv[1:]...))
			}
			for _, r := range requests {
				plan, err := p.Plan(r)
				if err == nil {
					s.run(plan)
					t.Errorf("level %q accepts %q as %q; canary: %v", p.Level, argv, plan.Argv, s.bitten())
				}
			}
		}
	}
	if vectors < 40 {
		t.Errorf("there are only %d vectors", vectors)
	}
}
