package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec/policy"
)

// refusal plans a request that must be refused.
func refusal(t *testing.T, p policy.Policy, r policy.Request) *policy.Refusal {
	t.Helper()
	plan, err := p.Plan(r)
	var refusal *policy.Refusal
	if !errors.As(err, &refusal) || !errors.Is(err, policy.ErrRefused) {
		t.Fatalf("got %q and the error %v, want a Refusal", plan.Argv, err)
	}
	return refusal
}

// TestRules is the table of the package comment: what people ban as substrings
// is refused where it acts and allowed where it is text.
func TestRules(t *testing.T) {
	for name, rule := range map[string]struct {
		refused map[string]string // command: code, token, column
		allowed []string
	}{
		"Semicolon": {
			map[string]string{"ls; id": "shell.operator ; 3", "ls;": "shell.operator ; 3", `echo "a";id`: "shell.operator ; 9", "a ;; b": "shell.syntax ; 3"},
			[]string{`git commit --allow-empty -m "a; b"`, `echo a\;b`, "echo 'a;'"},
		},
		"And": {
			map[string]string{"ls && id": "shell.operator && 4", "&& id": "shell.syntax & 1", "ls & id": "shell.operator & 4", "ls&": "shell.operator & 3"},
			[]string{`echo "a && b"`, `curl 'http://x/?a=1&b=2'`, `echo \&\&`},
		},
		"Or": {
			map[string]string{"ls || id": "shell.operator || 4"},
			[]string{`grep 'a||b' x`, `echo \|\|`},
		},
		"Pipe": {
			map[string]string{"ls | sh": "shell.operator | 4", "ls |& sh": "shell.operator |& 4"},
			[]string{`git log --format="%h | %an"`, `grep -E 'a|b' x`},
		},
		"Newline": {
			map[string]string{"ls\nid": "shell.newline \n 3", "ls -l\n\n\nid": "shell.newline \n 6"},
			[]string{"echo 'a\nb'", "ls\n", "ls \\\n -l"},
		},
		"Backtick": {
			map[string]string{"echo `id`": "shell.substitution ` 6", "echo \"a `id`\"": "shell.substitution ` 9"},
			[]string{"echo '`id`'", "echo \\`id\\`", "echo \"\\`id\\`\"", "claude -p 'what is `rm -rf`?'"},
		},
		"Substitution": {
			map[string]string{"echo $(id)": "shell.substitution $( 6", `echo "$(id)"`: "shell.substitution $( 7", "diff <(a) b": "shell.substitution <( 6", "tee >(a)": "shell.substitution >( 5"},
			[]string{"echo '$(id)'", `echo \$\(id\)`, `echo "\$(id)"`},
		},
		"Redirection": {
			map[string]string{"ls > x": "shell.redirect > 4", "ls >> x": "shell.redirect >> 4", "cat < x": "shell.redirect < 5", "ls 2>&1": "shell.redirect 2>& 4", "cat <<< x": "shell.redirect <<< 5", "cat <<E\nx\nE": "shell.redirect << 5", "ls &>x": "shell.redirect &> 4"},
			[]string{`git log --format="%h <%ae>"`, "pip install 'a>=1,<2'", `claude -p "Refactor Map<String,int>"`, `echo a\>b`},
		},
		"RmRf": {
			map[string]string{
				"rm -rf x": "shell.destructive -rf 4", "rm -fr x": "shell.destructive -fr 4", "rm -r -f x": "shell.destructive -f 7", "rm x -Rf": "shell.destructive -Rf 6",
				"rm --recursive --force x": "shell.destructive --force 16", "rm --rec --f x": "shell.destructive --f 10", "rm -vrf x": "shell.destructive -vrf 4", "rm  -f\t-r x": "shell.destructive -r 8",
				"/bin/rm -rf x": "shell.destructive -rf 9", "RM -rf x": "shell.destructive -rf 4", "r''m -r'f' x": "shell.destructive -rf 6", `\rm -rf x`: "shell.destructive -rf 5",
				"env rm -rf x": "shell.destructive -rf 8", "env A=b -i rm -rf x": "shell.destructive -rf 15", "xargs rm -rf": "shell.destructive -rf 10", "xargs -I {} rm -rf {}": "shell.destructive -rf 16",
				"sudo -u root rm -rf /": "shell.destructive -rf 17", "timeout 5 rm -rf x": "shell.destructive -rf 14", "timeout -k 1 5 rm -rf x": "shell.destructive -rf 19", "nice -n 5 rm -rf x": "shell.destructive -rf 14", "busybox rm -rf x": "shell.destructive -rf 12",
				`find . -exec rm -rf {} \;`: "shell.destructive -rf 17", "find . -name x -execdir rm -fr {} +": "shell.destructive -fr 28", "nohup env rm -rf x": "shell.destructive -rf 14",
			},
			[]string{"echo rm -rf /", `grep "rm -rf" x`, "rm -r x", "rm -f x", "rm -i -- -rf", "rm -- -r -f", "find . -name rm -newer rf", "xargs grep rm -rf", "git commit --allow-empty -m 'rm -rf'", "rmdir -rf", "git rm -rf x"},
		},
		"DdIf": {
			map[string]string{"dd if=/dev/zero of=x": "shell.destructive if=/dev/zero 4", "dd of=x": "shell.destructive of=x 4", "dd bs=1 'if'=x": "shell.destructive if=x 9", "sudo dd if=x": "shell.destructive if=x 9", "/usr/bin/dd if=x": "shell.destructive if=x 13"},
			[]string{"echo dd if=x", `git log --grep="dd if="`, "dd --version", "dd count=0"},
		},
		"Expansion": {
			map[string]string{"echo $HOME": "shell.expansion $HOME 6", `echo "${A:-b}"`: "shell.expansion ${A:-b} 7", "echo $((1+1))": "shell.expansion $(( 6", "echo $[1]": "shell.expansion $[ 6", "x $1": "shell.expansion $1 3", "$SHELL": "shell.expansion $SHELL 1"},
			[]string{"echo '$HOME'", `echo \$HOME "\$HOME"`, "echo a$ $", `grep "x$" y`},
		},
		"Patterns": {
			map[string]string{"ls *.go": "shell.glob * 4", "ls a?": "shell.glob ? 5", "ls [ab]": "shell.glob [ 4", "ls @(a|b)": "shell.glob @(a|b) 4", "echo {a,b}": "shell.brace { 6", "echo x{1..3}": "shell.brace { 7", "ls ~": "shell.tilde ~ 4", "ls ~root/x": "shell.tilde ~ 4", "make P=~/x": "shell.tilde ~ 8", "make P=a:~/x": "shell.tilde ~ 10"},
			[]string{"find . -name '*.go'", `ls \*`, "echo {} {a} @{1} {a','b}", "git show HEAD~1", "echo a~ x:~ '~'", "echo --a=~"},
		},
		"Grammar": {
			map[string]string{
				"! ls": "shell.negation ! 1", "A=b ls": "shell.assignment A=b 1", "A=b": "shell.assignment A=b 1", "ls # x": "shell.comment # 4", "# x": "shell.comment # 1", "(ls)": "shell.compound (ls) 1", "{ ls; }": "shell.compound { 1",
				"if a; then b; fi": "shell.compound if 1", "time ls": "shell.compound time 1", "[[ a ]]": "shell.compound [[ 1", "f() { ls; }": "shell.compound f() { ls; } 1", "coproc ls": "shell.compound coproc 1", "let x=1": "shell.compound let 1",
				"echo $'a'": "shell.quote $' 6", `echo $"a"`: `shell.quote $" 6`, `echo "a`: `shell.syntax " 6`, "echo 'a": "shell.syntax ' 6", "echo )": "shell.syntax ) 6", "ls\r\n": "shell.control \r 3", "ls \x01": "shell.control \x01 4", `ls \`: `shell.syntax \ 4`,
				"déjà; vu": "shell.operator ; 7", "x a$\\\n''": "shell.expansion $ 4",
			},
			[]string{"echo a#b", "echo a!b !", "echo =", "echo \"\x01\"", "echo A=b", "'if' x", `\time ls`},
		},
		"Programs": {
			map[string]string{
				"cd x": "shell.builtin cd 1", "export": "shell.compound export 1", "eval ls": "shell.builtin eval 1", "source x": "shell.builtin source 1", ". x": "shell.builtin . 1", "ulimit -n": "shell.builtin ulimit 1", "set -e": "shell.builtin set 1",
				"sh -c 'ls'": "shell.inline -c 4", "bash -ec ls": "shell.inline -ec 6", "bash -lc ls": "shell.inline -lc 6", "/bin/sh -c ls": "shell.inline -c 9", "bash": "shell.inline bash 1", "bash -s x": "shell.inline -s 6", "bash --rcfile x": "shell.inline --rcfile 6", "zsh -o x": "shell.inline -o 5", "sh +c x": "shell.inline +c 4",
				"busybox sh -c x": "shell.inline -c 12", "env sh -c x": "shell.inline -c 8", "xargs sh -c x": "shell.inline -c 10", `find . -exec sh -c x \;`: "shell.inline -c 17", "SH -c x": "shell.inline -c 4",
				"env git status": "shell.launcher git 5", "timeout 5 git log": "shell.launcher git 11", "xargs -n 1 claude -p": "shell.launcher claude 12", "env -S 'git status'": "shell.launcher -S 5", "env -iS x": "shell.launcher -iS 5", "env --split-string=x": "shell.launcher --split-string=x 5", "env --sp x": "shell.launcher --sp 5",
				"git-upload-pack .": "shell.program git-upload-pack 1", "/usr/lib/git-core/git-shell -c x": "shell.program /usr/lib/git-core/git-shell 1", "flock x git status": "shell.launcher git 9",
				"/usr/bin/git -c a=b status": "git.option -c 14", "./git -C / status": "git.option -C 7", "GIT -C / status": "git.option -C 5", "git.exe -C x": "git.option -C 9",
			},
			[]string{"bash x.sh -c y", "sh -eu x.sh", "bash --version", "env", "env -u A -i ls", "find . -name git", "find . -exec", "xargs", "xargs grep git", "make sh", "which git", "busybox", "busybox --list", "busybox ls", "time", "/usr/bin/time ls", "command/x", "gitk", "env -u SX ls"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			for command, want := range rule.refused {
				if name == "Programs" && strings.HasPrefix(command, "time") {
					continue
				}
				_, err := policy.Policy{}.Plan(shellRequest(command))
				var r *policy.Refusal
				if !errors.As(err, &r) {
					t.Errorf("%q: got the error %v, want %q", command, err, want)
					continue
				}
				is.Equal(r.Field, "command")
				is.True(r.Reason != "")
				if got := strings.Join([]string{r.Code, r.Token, itoa(r.Column)}, " "); got != want {
					t.Errorf("%q: got %q, want %q", command, got, want)
				}
			}
			for _, command := range rule.allowed {
				if command == "time" {
					continue // a keyword of bash, alone as well
				}
				if _, err := (policy.Policy{}).Plan(shellRequest(command)); err != nil {
					t.Errorf("%q: %v", command, err)
				}
			}
		})
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestWords(t *testing.T) {
	for command, want := range map[string][]string{
		`ls -la`:                    {"ls", "-la"},
		`a 'b c' "d e" f\ g`:        {"a", "b c", "d e", "f g"},
		`a '' "" b`:                 {"a", "", "", "b"},
		`a'b'"c"\d`:                 {"abcd"},
		`a "\$x \" \\ \n \` + "`\"": {"a", "$x \" \\ \\n `"},
		"a \\\n b\\\nc":             {"a", "bc"},
		"  a\t b  \n":               {"a", "b"},
		`a 'it'\''s'`:               {"a", "it's"},
		`é "日本"`:                    {"é", "日本"},
	} {
		t.Run(command, func(t *testing.T) {
			is := is.New(t)
			plan, err := policy.Policy{}.Plan(shellRequest(command))
			is.NoErr(err)
			is.Equal(plan.Argv, want)
			is.Equal(plan.Type, policy.TypeShell)
			is.Equal(plan.Shell, false)
		})
	}
}
