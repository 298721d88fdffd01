package kube_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// A running command and what it has given.
type running struct {
	mu     sync.Mutex
	stdout strings.Builder
	done   chan struct{}
	result exec.Result
	err    error
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stdout.String()
}

// start runs argv in the target in the background.
func start(ctx context.Context, x exec.Executor, target exec.Target, argv ...string) *running {
	return startCommand(ctx, x, exec.Command{ID: "test-" + strings.ToLower(rand.Text()), Target: target, Argv: argv, Grace: 300 * time.Millisecond})
}

func startCommand(ctx context.Context, x exec.Executor, cmd exec.Command) *running {
	r := &running{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.result, r.err = x.Execute(ctx, cmd, func(lines []exec.Line) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, line := range lines {
				if line.Stream == exec.Stdout {
					r.stdout.Write(line.Data)
					r.stdout.WriteByte('\n')
				}
			}
			return nil
		})
	}()
	return r
}

func (r *running) wait(t *testing.T) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(2 * patience):
		t.Fatal("Execute does not return")
	}
}

func TestLost(t *testing.T) {
	c := kubetest.Shared(t)
	t.Run("ADeletedPodIsLostWithTheReason", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		pod := runPod(t, namespace, "web", nil)
		x := newExecutor(t, namespace, nil)
		old := awaitRunning(t, x, "web")
		r := start(limited(t), x, old, "sh", "-c", "echo up; sleep 300")
		eventually(t, "it runs", func() bool { return r.text() == "up\n" })
		is.NoErr(c.DeletePod(limited(t), namespace, pod.Name))
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrLost))
		is.True(strings.Contains(r.err.Error(), "was deleted"))

		// A pod under the same name is not mistaken for the old one.
		runPod(t, namespace, "web", func(p *kubetest.Pod) { p.Name = pod.Name })
		eventually(t, "the new pod is there", func() bool {
			target, err := x.Locate(t.Context(), "web")
			return err == nil && target.Instance != old.Instance
		})
		again := start(limited(t), x, old, "echo", "hi")
		again.wait(t)
		is.True(errors.Is(again.err, exec.ErrLost))
		is.Equal(again.text(), "")
		fresh := start(limited(t), x, exec.Target{Name: "web"}, "echo", "hi")
		fresh.wait(t)
		is.NoErr(fresh.err)
		is.Equal(fresh.text(), "hi\n")
	})
	t.Run("AContainerOutOfMemoryIsLostWithTheReason", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		runPod(t, namespace, "web", func(p *kubetest.Pod) {
			p.Memory = "32Mi"
			p.Command = []string{"sh", "-c", "while [ ! -e /workspace/go ]; do sleep 0.1; done; exec tail /dev/zero"}
		})
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", "echo up; touch /workspace/go; sleep 300")
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrLost))
		is.True(strings.Contains(r.err.Error(), "OOMKilled"))
	})
}

// TestBrokenConnections: the end of a connection is no outcome. With the same
// fault a plain exec reports success.
func TestBrokenConnections(t *testing.T) {
	c := kubetest.Shared(t)
	if c.External() {
		t.Skip("needs a cluster whose parts can be killed")
	}
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	const script = "for i in 1 2 3 4 5 6; do echo line $i; sleep 1; done; exit 3"
	t.Run("ContainerdKilledIsNoSuccess", func(t *testing.T) {
		is := is.New(t)
		x := newExecutor(t, namespace, func(o *kube.Options) { o.Direct = true })
		target := awaitRunning(t, x, "web")
		plain := make(chan string, 1)
		go func() {
			out, err := c.Exec(limited(t), pod, "sh", "-c", script)
			plain <- fmt.Sprintf("code %d, error %v, output %q", out.Code, err, out.Stdout)
		}()
		r := start(limited(t), x, target, "sh", "-c", script)
		eventually(t, "a line comes", func() bool { return r.text() != "" })
		is.NoErr(c.Kill(limited(t), kubetest.Containerd))
		t.Cleanup(func() { _ = c.StartPart(context.Background(), kubetest.Containerd) })
		is.NoErr(c.StartPart(limited(t), kubetest.Containerd)) // what was left is killed then
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrOutcomeUnknown))
		is.True(strings.Contains(r.err.Error(), "it was killed"))
		t.Logf("a plain exec with the same fault: %s", <-plain)
		eventually(t, "commands run again", func() bool {
			after := start(limited(t), x, exec.Target{Name: "web"}, "true")
			after.wait(t)
			return after.err == nil
		})
	})
	for _, part := range []kubetest.Part{kubetest.Containerd, kubetest.Kubelet, kubetest.APIServer} {
		t.Run("ACommandDoesNotNoticeThatItsConnectionBroke/"+string(part), func(t *testing.T) {
			is := is.New(t)
			x := newExecutor(t, namespace, nil)
			r := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", script)
			eventually(t, "a line comes", func() bool { return r.text() != "" })
			is.NoErr(c.Kill(limited(t), part))
			is.NoErr(c.StartPart(limited(t), part))
			r.wait(t)
			is.NoErr(r.err)
			is.Equal(r.text(), "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n")
			is.Equal(r.result.ExitCode, 3)
		})
	}
}

// TestAnotherProcessGoesOn: who takes over from a process that is gone follows
// its commands, and starts none of them again.
func TestAnotherProcessGoesOn(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	runPod(t, namespace, "web", nil)
	first, second := newExecutor(t, namespace, nil), newExecutor(t, namespace, nil)
	target := awaitRunning(t, first, "web")
	cmd := exec.Command{ID: "moving", Target: target, Argv: []string{"sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.5; done; echo ran >>/workspace/ran; exit 5"}}
	err := func() error {
		_, err := first.Execute(limited(t), cmd, func([]exec.Line) error { return exec.ErrDetached })
		return err
	}()
	is.True(errors.Is(err, exec.ErrDetached))
	is.NoErr(first.Close(limited(t)))
	awaitRunning(t, second, "web")
	text := ""
	cmd.After = 1
	result, err := second.Execute(limited(t), cmd, func(lines []exec.Line) error {
		for _, line := range lines {
			text += string(line.Data)
		}
		return nil
	})
	is.NoErr(err)
	is.Equal(text, "234")
	is.Equal(result.ExitCode, 5)
	r := start(limited(t), second, target, "cat", "/workspace/ran")
	r.wait(t)
	is.Equal(r.text(), "ran\n")
}

func TestAHundredCommandsAtOnce(t *testing.T) {
	for name, direct := range map[string]bool{"UnderTheShim": false, "InDirectMode": true} {
		t.Run(name, func(t *testing.T) { testAHundredCommandsAtOnce(t, direct) })
	}
}

func testAHundredCommandsAtOnce(t *testing.T, direct bool) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	runPod(t, namespace, "web", nil)
	x := newExecutor(t, namespace, func(o *kube.Options) { o.Patience, o.Direct = patience, direct })
	target := awaitRunning(t, x, "web")
	began := time.Now()
	var all []*running
	for i := range 100 {
		all = append(all, start(limited(t), x, target, "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)))
	}
	for i, r := range all {
		r.wait(t)
		is.NoErr(r.err)
		is.Equal(r.text(), fmt.Sprintln(i))
		is.Equal(r.result.ExitCode, i)
	}
	t.Logf("100 commands took %v", time.Since(began).Round(time.Millisecond))
}
