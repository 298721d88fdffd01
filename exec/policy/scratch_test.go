package policy_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec/policy"
)

// A scratch is a git repository to run plans in, with its own home folder and
// a canary: a file that appears if something ran that should not have.
type scratch struct {
	t      *testing.T
	dir    string
	home   string
	canary string
}

func emptyScratch(t *testing.T) *scratch {
	t.Helper()
	root := t.TempDir()
	s := &scratch{t: t, dir: filepath.Join(root, "repo"), home: filepath.Join(root, "home"), canary: filepath.Join(root, "canary")}
	for _, dir := range []string{s.dir, s.home} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// copy returns a copy of the repository, which is much cheaper than a new one.
func (s *scratch) copy(t *testing.T) *scratch {
	t.Helper()
	twin := emptyScratch(t)
	if err := os.CopyFS(twin.dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return twin
}

func newScratch(t *testing.T) *scratch {
	t.Helper()
	s := emptyScratch(t)
	s.git("init", "-q", "-b", "main")
	s.git("config", "user.name", "A U Thor")
	s.git("config", "user.email", "author@example.com")
	s.write("README.md", "# demo\n")
	s.write("main.go", "package main\n")
	s.git("add", ".")
	s.git("commit", "-q", "-m", "first")
	s.write("main.go", "package main\n\nfunc main() {}\n")
	s.git("commit", "-q", "-am", "second")
	s.git("tag", "v1.0")
	s.git("branch", "feature")
	hooks, err := filepath.Glob(filepath.Join(s.dir, ".git/hooks/*"))
	for _, hook := range hooks { // samples
		err = errors.Join(err, os.Remove(hook))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scratch) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// git runs git as it is, to prepare the repository.
func (s *scratch) git(args ...string) {
	s.t.Helper()
	if out, code := s.run(policy.Plan{Argv: append([]string{"git"}, args...)}); code != 0 {
		s.t.Fatalf("git %q: exit code %d: %s", args, code, out)
	}
}

// run executes a plan as an executor would and returns its output and exit
// code, -1 if it did not start or did not end in time.
func (s *scratch) run(plan policy.Plan) (output string, code int) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, plan.Argv[0], plan.Argv[1:]...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.home, "CANARY=" + s.canary, "GIT_SSH_VARIANT=ssh"}
	for name, value := range plan.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(out), 0
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	}
	return string(out) + err.Error(), -1
}

// bitten reports whether the canary is there, and removes it.
func (s *scratch) bitten() bool {
	_, err := os.Stat(s.canary)
	if err == nil {
		_ = os.Remove(s.canary)
	}
	return err == nil
}

func gitRequest(args ...string) policy.Request {
	return policy.Request{Git: &policy.Git{Args: args}}
}

func shellRequest(command string) policy.Request {
	return policy.Request{Shell: &policy.Shell{Command: command}}
}

func argvRequest(argv ...string) policy.Request {
	return policy.Request{Shell: &policy.Shell{Argv: argv}}
}
