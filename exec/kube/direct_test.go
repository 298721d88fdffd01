package kube_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// TestABrokenConnectionInDirectMode: a command whose connection breaks is not
// left to run for nobody, without a timeout.
func TestABrokenConnectionInDirectMode(t *testing.T) {
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	// One child leaves the session, and is found by what it was given.
	const script = "(setsid sleep 4321 &); echo up; sleep 1234"
	alive := func(t *testing.T) bool {
		all := strings.Join(processes(t, c, pod), "\n")
		return strings.Contains(all, "sleep 1234") || strings.Contains(all, "sleep 4321")
	}
	// The first exec lasts for a second.
	open := func(t *testing.T, f *front) (x *kube.Executor, r *running, cmd exec.Command) {
		x = newExecutorAt(t, f.config, namespace, func(o *kube.Options) { o.Direct = true })
		x.LimitKills(3 * time.Second)
		cmd = exec.Command{ID: "broken-" + strings.ToLower(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]), Grace: 300 * time.Millisecond,
			Target: awaitRunning(t, x, "web"), Argv: []string{"sh", "-c", script}}
		f.cut.Store(int64(time.Second))
		r = &running{done: make(chan struct{})}
		up := make(chan struct{})
		go func() {
			defer close(r.done)
			r.result, r.err = x.Execute(limited(t), cmd, func([]exec.Line) error {
				close(up)
				return nil
			})
		}()
		<-up
		f.cut.Store(0)
		return x, r, cmd
	}
	t.Run("EndsTheCommand", func(t *testing.T) {
		is := is.New(t)
		x, r, cmd := open(t, newFront(t, nil))
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrOutcomeUnknown))
		is.True(strings.Contains(r.err.Error(), "it was killed"))
		is.True(!alive(t))
		is.NoErr(x.Cancel(limited(t), cmd.Target, cmd.ID))
	})
	t.Run("LeavesItToCancelIfNothingComesThrough", func(t *testing.T) {
		is := is.New(t)
		var broken atomic.Bool
		f := newFront(t, nil)
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			refused := broken.Load() && strings.HasSuffix(r.URL.Path, "/exec")
			if refused {
				http.Error(w, "out of order", http.StatusServiceUnavailable)
			}
			return refused
		}
		x, r, cmd := open(t, f)
		broken.Store(true)
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrOutcomeUnknown))
		is.True(strings.Contains(r.err.Error(), "it may still run"))
		is.True(alive(t))
		is.True(x.Cancel(limited(t), cmd.Target, cmd.ID) != nil) // it is not ended, and Cancel does not say so
		broken.Store(false)
		is.NoErr(x.Cancel(limited(t), cmd.Target, cmd.ID))
		is.True(!alive(t))
		is.NoErr(x.Cancel(limited(t), cmd.Target, cmd.ID))
	})
}
