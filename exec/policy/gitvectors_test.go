package policy_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec/policy"
)

// TestGitVectorsAreRefused: arguments that made git run programs, write or read
// files elsewhere, by the name of the public record where there is one. A
// space within an argument is written as ·.
func TestGitVectorsAreRefused(t *testing.T) {
	s := newScratch(t)
	for name, vectors := range map[string][]string{
		"CVE-2018-17456 clone of -u":              {"clone -u·touch·CANARY x", "clone -- -utouch·CANARY", "submodule add -- -u./x x"},
		"CVE-2019-13139 fetch --upload-pack":      {"fetch --upload-pack=touch·CANARY origin", "fetch origin --upload-pack=touch·CANARY", "pull --upload-pack=touch·CANARY . x"},
		"CVE-2019-14944 log --output":             {"log --output=CANARY", "diff --output=CANARY", "diff --output CANARY", "show --output=CANARY", "format-patch --output-directory=CANARY"},
		"CVE-2019-12430 archive --output":         {"archive --output=CANARY HEAD", "archive -oCANARY HEAD", "archive --remote=ext::touch·CANARY HEAD", "archive --exec=touch·CANARY --remote=. HEAD"},
		"CVE-2018-1000533 grep -O":                {"grep -Otouch·CANARY x", "grep -O x", "grep --open-files-in-pager=touch·CANARY x", "grep --open=touch·CANARY x", "grep -nO x"},
		"CVE-2021-43286 ls-remote":                {"ls-remote --upload-pack=touch·CANARY x", "ls-remote --upl=touch·CANARY x", "ls-remote --exec=touch·CANARY .", "ls-remote ext::touch·CANARY"},
		"CVE-2021-43809 dash as URL":              {"clone --upload-pack=touch·CANARY x", "clone -cprotocol.ext.allow=always ext::touch·CANARY", "fetch -- --upload-pack=x"},
		"CVE-2022-36069 clone option":             {"clone --config=core.sshCommand=x x", "clone -c core.sshCommand=x https://x/y", "clone --conf core.fsmonitor=x https://x/y"},
		"CVE-2022-30129 clone":                    {"clone -u./x https://example.com/x", "clone --template=/tmp/x https://example.com/x"},
		"CVE-2022-24066 ext in another case":      {"-c PROTOCOL.ALLOW=always fetch ext::touch·CANARY", "-cProtocol.Allow=always ls-remote ext::x", "clone EXT::touch·CANARY"},
		"CVE-2026-28292 config case":              {"-c CORE.SSHCOMMAND=touch·CANARY fetch ssh://x/y", "-c core.FsMonitor=touch·CANARY status", "--config-env=core.fsmonitor=CANARY status"},
		"CVE-2026-42215 abbreviation":             {"clone --upl=x https://x/y", "fetch --upload-p=x origin", "push --receive-p=x origin", "push --exe=x origin", "rebase --exe x", "diff --outp=CANARY"},
		"CVE-2024-39930 env --split-string":       {"--split-string=x", "-S x status"},
		"CVE-2024-39932 diff --output":            {"diff --output=CANARY HEAD", "diff -oCANARY"},
		"CVE-2024-39933 tag --file":               {"tag -F /etc/passwd x", "tag --file=/etc/passwd x", "tag -a -F/etc/passwd x", "commit -F /etc/passwd", "commit --file=/etc/passwd", "commit -t /etc/passwd"},
		"GHSA-v396-v7q4-x2qj joined short":        {"clone -utouch·CANARY https://x/y", "clone -qutouch·CANARY https://x/y", "push -fotouch x", "rebase -xtouch·CANARY HEAD~1", "rebase -ix·touch HEAD~1"},
		"GHSA-r9mr-m37c-5fr3 split value":         {"clone --config core.sshCommand=x https://x/y", "log --output CANARY", "fetch --upload-pack touch origin"},
		"GHSA-6p8h-3wgx-97gf hooks by template":   {"clone --template /tmp/x https://x/y", "init --template=/tmp/x", "init --templ=/tmp/x x"},
		"GHSA-956x-8gvw-wg5v other subcommands":   {"bundle create CANARY HEAD", "difftool -x touch·CANARY", "difftool --extcmd=touch·CANARY HEAD~1", "mergetool", "bisect run touch CANARY", "filter-branch --tree-filter x", "submodule foreach touch·CANARY", "daemon", "upload-pack .", "fast-import", "send-email x", "svn x", "p4 x", "instaweb", "gui", "web--browse x", "maintenance start", "credential fill", "hook run x", "help -w x", "notes add", "am x.patch", "apply --unsafe-paths x", "update-ref x", "symbolic-ref HEAD x", "write-tree", "cvsimport", "remote-ext x touch·CANARY"},
		"GHSA-qrg7-hfx7-95c5 dash as revision":    {"checkout --upload-pack=x", "show --output=CANARY", "rev-list --output=CANARY HEAD", "branch --edit-description", "log -- /etc/passwd", "diff -- ../../x"},
		"2026 rebase of a branch named as option": {"rebase --exec=touch·CANARY", "rebase --exec touch·CANARY main", "rebase -i main", "rebase main --exec=touch·CANARY", "merge --edit x", "rebase -s touch·CANARY main", "merge -s ../x main", "merge --strategy=../x main"},
		"options before the subcommand":           {"-c core.fsmonitor=touch·CANARY status", "-ccore.fsmonitor=x status", "-C / status", "--git-dir=/x/.git status", "--git-dir /x status", "--work-tree=/ status", "--exec-path=/tmp x", "--namespace=x log", "-p log", "--paginate log", "--no-pager -p log", "--bare status", "--attr-source=x log", "--html-path", "--list-cmds=main"},
		"aliases and paths as subcommands":        {"!touch·CANARY", "evil", "../x", "/bin/sh", "STATUS", "Log", "status·", "", "sta", "diff--output=x"},
		"configuration":                           {"config alias.x !touch·CANARY", "config core.pager touch·CANARY", "config --global user.name x", "config --file=/etc/passwd -l", "config -f /etc/passwd -l", "config --edit", "config -e", "config edit", "config --blob=HEAD:x -l", "config --add a.b c", "config --unset a.b", "config set a.b c", "config user.name x"},
		"remotes that are programs or folders":    {"fetch ext::sh·-c·touch%·CANARY", "fetch file:///etc", "fetch /etc", "fetch ../x", "fetch ./x", "fetch http://x/y", "fetch git://x/y", "pull ext::x", "push ext::x main", "remote add x ext::touch·CANARY", "remote set-url x ext::x", "remote add x file:///etc", "remote add -x https://a/b", "clone /etc x", "clone fd::3", "clone https://example.com/x ../y", "clone https://example.com/x /tmp/y", "clone ssh://-oProxyCommand=touch·CANARY/x", "clone -oProxyCommand=x@y:z", "clone ssh://x@-oProxyCommand=y/z", "clone user@-oProxyCommand=x:y", "clone user@host:-x", "clone ssh://host/-x", "ls-remote -oProxyCommand=x:y"},
		"paths elsewhere":                         {"add /etc/passwd", "add ../x", "diff -- /etc/passwd /etc/hosts", "diff /etc/passwd /etc/hosts", "diff --no-index /etc/passwd /etc/hosts", "diff ../x ../y", "show HEAD:../../x", "blame /etc/passwd", "mv a ../b", "rm -- ../x", "checkout -- a/../../x", "grep --no-index x -- /etc", "grep -f /etc/passwd", "log --contents", "worktree add /tmp/x", "init /tmp/x", "ls-files --exclude-from=/etc/passwd", "ls-files -X/etc/passwd", "commit --pathspec-from-file=/etc/passwd", "stash push --pathspec-from-file=x", "blame --contents /etc/passwd main.go", "blame --ignore-revs-file=/etc/passwd main.go", "shortlog --output=CANARY"},
		"signatures":                              {"log --show-signature", "commit -S -m x", "commit -Skey -m x", "commit --gpg-sign=x -m x", "tag -s x -m y", "tag -u key x -m y", "tag -v v1.0", "merge --verify-signatures x", "push --signed origin", "merge -S x", "rebase -S main"},
		"editors, patches, helpers":               {"commit --edit -m x", "add -p", "add -i", "add --interactive", "add -e", "checkout -p", "reset -p", "stash -p", "commit -p", "branch --edit-description", "commit --trailer=a:b -m x", "log --ext-diff -p", "log --textconv", "diff --ext-diff", "show --textconv HEAD:x", "status -v", "status --verbose", "clone --recurse-submodules https://x/y", "pull --recurse-submodules", "checkout --recurse-submodules x", "cat-file --textconv HEAD:x", "cat-file --filters HEAD:x", "cat-file --batch", "push -o ci.skip origin", "push --push-option=x origin", "fetch --server-option=x", "fetch --stdin", "rev-list --stdin"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			for _, vector := range vectors {
				args := strings.Split(vector, " ")
				for i := range args {
					args[i] = strings.NewReplacer("·", " ", "CANARY", s.canary).Replace(args[i])
				}
				for _, p := range []policy.Policy{{}, {Level: policy.Strict}, {Level: policy.Permissive}, {Level: policy.Permissive, AllowShell: true}} {
					requests := []policy.Request{gitRequest(args...)}
					if !p.AllowShell {
						requests = append(requests, argvRequest(append([]string{"git"}, args...)...), shellRequest("git '"+strings.Join(args, "' '")+"'"))
					}
					if p.Level != policy.Strict {
						requests = append(requests, gitRequest(append([]string{"--no-pager"}, args...)...))
					}
					for _, request := range requests {
						plan, err := p.Plan(request)
						if err == nil {
							output, _ := s.run(plan)
							t.Errorf("level %q accepts %q as %q; canary: %v; %.100s", p.Level, vector, plan.Argv, s.bitten(), output)
						} else if !errors.Is(err, policy.ErrRefused) {
							t.Errorf("%q: %v is no refusal", vector, err)
						}
					}
				}
			}
		})
	}
}

// TestGitOfAHostileRepository pins which programs that a repository configures
// are run. The list at the end is the reason why the target is the boundary.
func TestGitOfAHostileRepository(t *testing.T) {
	base := newScratch(t)
	potent := 0
	attributes := func(s *scratch, line string) {
		s.write(".gitattributes", line+"\n")
	}
	for name, vector := range map[string]struct {
		prepare func(*scratch)
		command string
		fires   bool
	}{
		"fsmonitor":      {func(s *scratch) { s.git("config", "core.fsmonitor", s.touch()) }, "git status", false},
		"hooksPath":      {func(s *scratch) { s.hook("x", "post-checkout"); s.git("config", "core.hooksPath", "x") }, "git checkout feature", false},
		"hook":           {func(s *scratch) { s.hook(".git/hooks", "pre-commit") }, "git commit --allow-empty -m x", false},
		"reference hook": {func(s *scratch) { s.hook(".git/hooks", "reference-transaction") }, "git branch new", false},
		"pre-push":       {func(s *scratch) { s.hook(".git/hooks", "pre-push") }, "git push https://127.0.0.1:1/x main", false},
		"sshCommand":     {func(s *scratch) { s.git("config", "core.sshCommand", s.touch()) }, "git fetch ssh://127.0.0.1:1/x", false},
		"uploadpack": {func(s *scratch) {
			s.git("remote", "add", "o", s.dir)
			s.git("config", "remote.o.uploadpack", s.touch())
		}, "git fetch o", false},
		"receivepack": {func(s *scratch) {
			s.git("remote", "add", "o", s.dir)
			s.git("config", "remote.o.receivepack", s.touch())
		}, "git push o main", false},
		"ext remote": {func(s *scratch) {
			s.git("remote", "add", "o", "ext::"+s.touch())
			s.git("config", "protocol.ext.allow", "always")
		}, "git fetch o", false},
		"insteadOf": {func(s *scratch) {
			s.git("config", "url.ext::"+s.touch()+" .insteadOf", "https://a")
			s.git("config", "protocol.allow", "always")
		}, "git fetch https://a/b", false},
		"vcs": {func(s *scratch) { s.git("config", "remote.o.vcs", "ext"); s.git("config", "remote.o.url", s.touch()) }, "git fetch o", false},
		"hook of the configuration": {func(s *scratch) { // of git 2.54
			s.git("config", "hook.x.event", "post-commit")
			s.git("config", "hook.x.command", s.touch())
		}, "git commit --allow-empty -m x", false},
		"alias": {func(s *scratch) {
			s.git("config", "alias.status", "!"+s.touch())
			s.git("config", "alias.x", "!"+s.touch())
		}, "git status", false},
		"pager": {func(s *scratch) { s.git("config", "core.pager", s.touch()); s.git("config", "pager.log", s.touch()) }, "git log", false},
		"editor": {func(s *scratch) {
			s.git("config", "core.editor", s.touch())
			s.git("config", "sequence.editor", s.touch())
		}, "git commit --allow-empty", false},
		"merge editor":      {func(s *scratch) { s.git("config", "core.editor", s.touch()) }, "git revert HEAD", false},
		"diff.external":     {func(s *scratch) { s.git("config", "diff.external", s.touch()) }, "git diff HEAD~1", false},
		"diff.external log": {func(s *scratch) { s.git("config", "diff.external", s.touch()) }, "git log -p --no-ext-diff", false},
		"diff driver":       {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.command", s.touch()) }, "git diff HEAD~1", false},
		"diff driver stash": {func(s *scratch) {
			attributes(s, "*.go diff=x")
			s.git("config", "diff.x.command", s.touch())
			s.write("main.go", "x")
			s.git("stash", "-q")
		}, "git stash show -p", false},
		"textconv diff":     {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git diff HEAD~1", false},
		"textconv show":     {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git show HEAD", false},
		"textconv blob":     {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git show HEAD:main.go", false},
		"textconv log":      {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git log -p", false},
		"textconv reflog":   {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git reflog -p", false},
		"textconv blame":    {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git blame main.go", false},
		"textconv grep":     {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git grep main", false},
		"textconv pickaxe":  {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git log -S func", false},
		"textconv cat-file": {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git cat-file -p HEAD:main.go", false},
		"textconv difftree": {func(s *scratch) { attributes(s, "*.go diff=x"); s.git("config", "diff.x.textconv", s.touch()) }, "git diff-tree -p HEAD", false},
		"gpg sign":          {func(s *scratch) { s.git("config", "commit.gpgSign", "true"); s.git("config", "gpg.program", s.touch()) }, "git commit --allow-empty -m x", false},
		"gpg format":        {func(s *scratch) { s.signed(); s.git("config", "gpg.program", s.touch()) }, "git log --format='%G?'", false},
		"gpg show": {func(s *scratch) {
			s.signed()
			s.git("config", "gpg.program", s.touch())
			s.git("config", "log.showSignature", "true")
		}, "git log", false},
		"askPass":        {func(s *scratch) { s.git("config", "core.askPass", s.touch()) }, "git fetch https://user@127.0.0.1:1/x", false},
		"proxy":          {func(s *scratch) { s.git("config", "core.gitProxy", s.touch()) }, "git fetch https://127.0.0.1:1/x", false},
		"rebase backend": {func(s *scratch) { s.git("config", "rebase.instructionFormat", "x\nexec "+s.touch()) }, "git rebase --root", false},
		"tag forced to be signed": {func(s *scratch) {
			s.git("config", "tag.forceSignAnnotated", "true")
			s.git("config", "gpg.format", "ssh")
			s.git("config", "gpg.ssh.defaultKeyCommand", s.touch())
		}, "git tag -m msg v2", false},
		"tag signed": {func(s *scratch) {
			s.git("config", "tag.gpgSign", "true")
			s.git("config", "gpg.format", "ssh")
			s.git("config", "gpg.ssh.defaultKeyCommand", s.touch())
		}, "git tag -a -m msg v2", false},
		"textconv commit": {func(s *scratch) {
			attributes(s, "*.go diff=x")
			s.git("config", "diff.x.textconv", s.touch())
			s.git("config", "commit.verbose", "true")
			s.write("main.go", "x")
		}, "git commit --dry-run -a", false},
		"textconv amend": {func(s *scratch) {
			attributes(s, "*.go diff=x")
			s.git("config", "diff.x.textconv", s.touch())
			s.git("config", "commit.verbose", "2")
			s.write("main.go", "x")
		}, "git commit -a --amend", false},
		"submodule in status": {func(s *scratch) {
			s.submodule()
			s.gitIn("sub", "config", "core.fsmonitor", s.touch())
		}, "git status", false},
		"submodule in diff": {func(s *scratch) {
			s.submodule()
			s.gitIn("sub", "config", "core.fsmonitor", s.touch())
		}, "git diff", false},
		"submodule in commit": {func(s *scratch) {
			s.submodule()
			s.gitIn("sub", "config", "core.fsmonitor", s.touch())
		}, "git commit -a --allow-empty -m x", false},
		"submodule in add": {func(s *scratch) {
			s.submodule()
			s.gitIn("sub", "config", "core.fsmonitor", s.touch())
		}, "git add -u", false},
		"submodule with an ignore of its own": {func(s *scratch) {
			s.submodule()
			s.git("config", "submodule.sub.ignore", "none")
			s.gitIn("sub", "config", "core.fsmonitor", s.touch())
		}, "git status", false},
		"submodule as diff": {func(s *scratch) {
			s.submodule()
			s.git("config", "diff.submodule", "diff")
			s.gitIn("sub", "config", "diff.external", s.touch())
		}, "git diff HEAD~1", false},
		"submodule as log": {func(s *scratch) {
			s.submodule()
			s.gitIn("sub", "config", "diff.external", s.touch())
			s.git("config", "diff.submodule", "diff")
		}, "git log -p", false},
		// What is left: git has no switch for these.
		"rebase state": {func(s *scratch) {
			s.git("config", "sequence.editor", "sed -i s/^pick/break/")
			_, _ = s.run(policy.Plan{Argv: []string{"git", "rebase", "-i", "HEAD~1"}})
			s.write(".git/rebase-merge/git-rebase-todo", "exec "+s.touch()+"\n")
		}, "git rebase --continue", true},
		"filter.clean": {func(s *scratch) {
			attributes(s, "*.go filter=x")
			s.git("config", "filter.x.clean", s.touch()+"; cat")
			s.write("main.go", "package main\n\nfunc mAin() {}\n")
		}, "git diff", true},
		"filter.smudge": {func(s *scratch) {
			attributes(s, "*.go filter=x")
			s.git("config", "filter.x.smudge", s.touch()+"; cat")
		}, "git checkout HEAD~1 -- main.go", true},
		"merge driver": {func(s *scratch) {
			s.git("checkout", "-q", "-b", "other", "HEAD~1")
			s.write("main.go", "package other\n")
			attributes(s, "*.go merge=x")
			s.git("add", ".")
			s.git("commit", "-q", "-m", "other")
			s.git("config", "merge.x.driver", s.touch())
		}, "git merge main", true},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			is := is.New(t)
			plain := base.copy(t)
			vector.prepare(plain)
			plain.bitten() // preparing may have run it
			plain.run(policy.Plan{Argv: []string{"sh", "-c", vector.command}})
			if plain.bitten() {
				potent++
			} else {
				t.Log("git alone does not run this one here")
			}
			for _, level := range []policy.Level{policy.Strict, policy.Restricted} {
				s := base.copy(t)
				vector.prepare(s)
				s.bitten()
				plan, err := policy.Policy{Level: level}.Plan(shellRequest(vector.command))
				is.NoErr(err)
				output, _ := s.run(plan)
				if fired := s.bitten(); fired != vector.fires {
					t.Errorf("level %s: %s: canary %v, want %v: %.300s", level, vector.command, fired, vector.fires, output)
				}
			}
		})
	}
	if potent < 20 {
		t.Errorf("only %d of the configurations harm git alone", potent)
	}
}

// touch returns the path of a program that touches the canary whatever its
// arguments are.
func (s *scratch) touch() string {
	s.t.Helper()
	program := s.canary + ".sh"
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntouch "+s.canary+"\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return program
}

// hook writes a hook that touches the canary.
func (s *scratch) hook(folder, name string) {
	s.t.Helper()
	s.write(folder+"/"+name, "#!/bin/sh\n"+s.touch()+"\n")
}

// signed adds a commit with a signature, which no key is needed for.
func (s *scratch) signed() {
	s.t.Helper()
	s.write("object", "")
	out, _ := s.run(policy.Plan{Argv: []string{"git", "cat-file", "commit", "HEAD"}})
	head, body, _ := strings.Cut(out, "\n\n")
	signature := "gpgsig -----BEGIN PGP SIGNATURE-----\n \n aaaa\n -----END PGP SIGNATURE-----"
	s.write("object", head+"\n"+signature+"\n\n"+body)
	id, code := s.run(policy.Plan{Argv: []string{"git", "hash-object", "-t", "commit", "-w", "object"}})
	if code != 0 {
		s.t.Fatalf("hash-object: %s", id)
	}
	_ = os.Remove(s.dir + "/object")
	s.git("reset", "-q", "--soft", strings.TrimSpace(id))
}

// submodule adds a repository within the repository.
func (s *scratch) submodule() {
	s.t.Helper()
	s.git("init", "-q", "sub")
	s.gitIn("sub", "config", "user.name", "A U Thor")
	s.gitIn("sub", "config", "user.email", "author@example.com")
	s.write("sub/file", "x")
	s.gitIn("sub", "add", ".")
	s.gitIn("sub", "commit", "-q", "-m", "first")
	s.write(".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = https://example.com/sub\n")
	s.git("add", ".gitmodules", "sub")
	s.git("commit", "-q", "-m", "submodule")
}

func (s *scratch) gitIn(folder string, args ...string) {
	s.t.Helper()
	s.git(append([]string{"-C", folder}, args...)...)
}
