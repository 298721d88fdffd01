package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// TestASilentContainer: one whose sh does not come to life makes nobody wait for
// longer than they want to, and is served when it does.
func TestASilentContainer(t *testing.T) {
	const sh = `#!/bin/busybox sh
[ -e /workspace/go ] || exec sleep 600
exec /bin/busybox sh "$@"
`
	c := kubetest.Shared(t)
	for name, direct := range map[string]bool{"UnderTheShim": false, "InDirectMode": true} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			namespace := c.Namespace(t)
			pod := runPod(t, namespace, "web", func(p *kubetest.Pod) {
				p.EmptyDirs = []string{"/odd", "/workspace"}
				p.Command = []string{"/bin/sh", "-c", `printf %s "$0" >/odd/sh; chmod 755 /odd/sh; exec sleep 100000`, sh}
				p.Mutate = func(pod *corev1.Pod) {
					pod.Spec.Containers[0].Env = append(pod.Spec.Containers[0].Env, corev1.EnvVar{Name: "PATH", Value: "/odd:/bin"})
				}
			})
			x := newExecutor(t, namespace, func(o *kube.Options) {
				o.Direct, o.ReadyTimeout, o.Patience = direct, 4*time.Second, -1
			})
			target := awaitRunning(t, x, "web")
			began := time.Now()
			r := start(limited(t), x, target, "true")
			r.wait(t)
			is.True(errors.Is(r.err, exec.ErrNotStarted))
			is.True(strings.Contains(r.err.Error(), "nothing has come out of the container for 4s"))
			is.True(time.Since(began) >= 4*time.Second)

			// More than may be opened at once: who gives up does not wait for them.
			ctx, cancel := context.WithTimeout(limited(t), time.Second)
			defer cancel()
			began = time.Now()
			var all []*running
			for range 20 {
				all = append(all, start(ctx, x, target, "true"))
			}
			for _, r := range all {
				r.wait(t)
				is.True(errors.Is(r.err, exec.ErrNotStarted))
			}
			is.True(time.Since(began) < 3*time.Second)

			_, err := c.Exec(limited(t), pod, "/bin/touch", "/workspace/go")
			is.NoErr(err)
			eventually(t, "commands run", func() bool {
				r := start(limited(t), x, target, "true")
				r.wait(t)
				return r.err == nil
			})
		})
	}
}
