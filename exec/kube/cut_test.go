package kube_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/internal/kubetest"
)

// TestStartsOverCutConnections: a thousand commands over connections that are
// cut again and again, and each ran exactly once and ended as it did.
func TestStartsOverCutConnections(t *testing.T) {
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var rough atomic.Bool
	proxy, config := through(t, func(int) faultproxy.Fault {
		if !rough.Load() {
			return faultproxy.Fault{}
		}
		// In the middle of the greeting, or of the answers.
		return faultproxy.Fault{CutAfter: 4<<10 + random.Int64N(6<<10)}
	})
	x := newExecutorAt(t, config, namespace, func(o *kube.Options) { o.Patience = patience })
	target := awaitRunning(t, x, "web")
	start(limited(t), x, target, "true").wait(t) // the shim is there
	rough.Store(true)
	proxy.CutAll()

	const starts, atOnce = 1000, 25
	began := time.Now()
	var work sync.WaitGroup
	tokens := make(chan struct{}, atOnce)
	for i := range starts {
		tokens <- struct{}{}
		work.Go(func() {
			defer func() { <-tokens }()
			if err := runOnce(limited(t), x, target, i); err != nil {
				t.Errorf("command %d: %v", i, err)
			}
		})
	}
	work.Wait()
	rough.Store(false)
	proxy.CutAll()
	t.Logf("%d starts over %d cuts took %v; seed %d", starts, proxy.Cuts(), time.Since(began).Round(time.Millisecond), seed)

	is := is.New(t)
	is.True(proxy.Cuts() >= starts/20) // each hits up to atOnce of them
	out, err := c.Exec(limited(t), pod, "cat", "/workspace/ran")
	is.NoErr(err)
	ran := make(map[string]int)
	for line := range strings.Lines(string(out.Stdout)) {
		ran[strings.TrimSpace(line)]++
	}
	for i := range starts {
		if n := ran[fmt.Sprint(i)]; n != 1 {
			t.Errorf("command %d ran %d times", i, n)
		}
	}
	is.Equal(len(ran), starts)
}

// runOnce runs command n, as often as it certainly did not start, which is what
// a caller may do, and checks what came of it.
func runOnce(ctx context.Context, x exec.Executor, target exec.Target, n int) error {
	cmd := exec.Command{
		ID: fmt.Sprintf("cut-%d", n), Target: target,
		Argv: []string{"sh", "-c", `echo $0 >>ran; echo $0; exit $1`, fmt.Sprint(n), fmt.Sprint(n % 256)},
	}
	for {
		var text strings.Builder
		result, err := x.Execute(ctx, cmd, func(lines []exec.Line) error {
			for _, line := range lines {
				fmt.Fprintf(&text, "%d:%s\n", line.Seq, line.Data)
			}
			return nil
		})
		switch want := fmt.Sprintf("1:%d\n", n); {
		case errors.Is(err, exec.ErrNotStarted) && ctx.Err() == nil:
		case err != nil:
			return err
		case result.ExitCode != n%256:
			return fmt.Errorf("exit code %d, want %d", result.ExitCode, n%256)
		case text.String() != want:
			return fmt.Errorf("output %q, want %q", text.String(), want)
		default:
			return nil
		}
	}
}
