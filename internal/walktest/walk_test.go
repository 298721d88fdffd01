package walktest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/orchard9/rdev/server/client"
)

// TestWalk is the way of a new user, in a clone of what is committed.
func TestWalk(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	clone := filepath.Join(home, "rdev")
	address, metrics := freeAddr(t), freeAddr(t)
	env := environment(t, home, "RDEV_ADDR="+address, "RDEV_METRICS_ADDR="+metrics)
	run(t, home, env, "git", "clone", "--quiet", "--no-hardlinks", absolute(t, root), clone)

	readme, err := os.ReadFile(filepath.Join(clone, "README.md"))
	must(t, err)
	commands := regexp.MustCompile(`(?m)^\$ (go run \./cmd/rdev .*)$`).FindAllStringSubmatch(string(readme), -1)
	if len(commands) < 2 || !strings.HasSuffix(commands[0][1], "rdev serve") || !strings.Contains(commands[1][1], "rdev run -- ") {
		t.Fatalf("the README does not begin with serving and running: %q", commands)
	}

	_, said, ended := background(t, clone, env, "sh", "-c", "exec "+commands[0][1])
	answers(t, "http://"+address+"/healthz", ended)
	if !strings.Contains(said.String(), "http://"+address) {
		t.Errorf("the server does not say where it is:\n%s", said.String())
	}
	out := run(t, clone, env, "sh", "-c", commands[1][1])
	if !strings.Contains(out, "custombroker\ncustomexec\nembed\n") {
		t.Errorf("%s printed\n%s", commands[1][1], out)
	}
	failing := exec.CommandContext(t.Context(), "go", "run", "./cmd/rdev", "run", "--", "ls", "no-such-folder")
	failing.Dir, failing.Env = clone, env
	if text, err := failing.CombinedOutput(); err == nil || !strings.Contains(string(text), "no-such-folder") {
		t.Errorf("ls of a folder that is not there: %v\n%s", err, text)
	}

	t.Run("TheDocsPageInABrowser", func(t *testing.T) { checkDocs(t, "http://"+address) })
	t.Run("TheMetricsInPrometheus", func(t *testing.T) {
		busy(t, "http://"+address, filepath.Join(home, ".local", "share", "rdev", "admin.key"))
		checkPrometheus(t, clone, metrics)
	})
}

// busy does what happens on a server in use: a wrong key, a refused command, one
// that is cancelled, and one that is followed until the test ends.
func busy(t *testing.T, server, keyFile string) {
	t.Helper()
	key, err := os.ReadFile(keyFile)
	must(t, err)
	newClient := func(key string) *client.Client {
		c, err := client.New(server, strings.TrimSpace(key), nil)
		must(t, err)
		t.Cleanup(c.Close)
		return c
	}
	c := newClient(string(key))
	if _, err := newClient("rdev_sk_wrong").Projects(t.Context()); err == nil {
		t.Error("a wrong key is taken")
	}
	if _, err := c.RunShell(t.Context(), "rdev", client.Shell{Command: "echo hi | cat"}, nil); err == nil {
		t.Error("a pipe is taken")
	}
	nothing := func([]client.Event) error { return nil }
	sleep := func() client.Command {
		cmd, err := c.RunShell(t.Context(), "rdev", client.Shell{Argv: []string{"sleep", "600"}}, nil)
		must(t, err)
		return cmd
	}
	canceled, followed := sleep(), sleep()
	_, err = c.Cancel(t.Context(), "rdev", canceled.ID)
	must(t, err)
	end, err := c.Follow(t.Context(), "rdev", canceled.ID, 0, nothing)
	must(t, err)
	if end.State != client.Cancelled {
		t.Errorf("a cancelled command is %s", end.State)
	}
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = c.Follow(ctx, "rdev", followed.ID, 0, nothing)
	}()
	t.Cleanup(func() { cancel(); <-left })
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	must(t, err)
	return path
}

// run runs a program to its end, and returns its standard output.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var complaints strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, complaints.String())
	}
	return string(out)
}
