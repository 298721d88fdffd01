package kube_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/internal/kubetest"
)

// TestForget: what a command printed is gone from its pod, and it is not run
// again by whoever takes it over too late.
func TestForget(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	x := newExecutor(t, namespace, nil)
	target := awaitRunning(t, x, "web")
	cmd := exec.Command{ID: "test-forgotten", Target: target, Argv: []string{"sh", "-c", "echo a secret; echo ran >>/tmp/ran"}}
	r := startCommand(limited(t), x, cmd)
	r.wait(t)
	is.NoErr(r.err)
	kept := func() string {
		out, err := c.Exec(limited(t), pod, "sh", "-c", "find / -path '*/v1/test-forgotten*' 2>/dev/null; true")
		is.NoErr(err)
		return strings.TrimSpace(string(out.Stdout))
	}
	is.True(kept() != "")
	target = awaitRunning(t, x, "web") // which names the shim now
	is.NoErr(x.Forget(limited(t), target, cmd.ID))
	is.NoErr(x.Forget(limited(t), target, cmd.ID))
	is.NoErr(x.Forget(limited(t), target, "test-never-there"))
	is.Equal(kept(), "")

	cmd.Target = target
	for _, cmd.Resume = range []bool{true, false} {
		r = startCommand(limited(t), x, cmd)
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrOutcomeUnknown))
	}
	out, err := c.Exec(limited(t), pod, "cat", "/tmp/ran")
	is.NoErr(err)
	is.Equal(strings.TrimSpace(string(out.Stdout)), "ran")
}
