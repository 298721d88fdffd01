package kube_test

import (
	"testing"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// TestContract runs the contract side by side in pods of their own: most of its
// time it waits.
func TestContract(t *testing.T) {
	for _, mode := range []string{"shim", "direct"} {
		for _, image := range []kubetest.Image{kubetest.Busybox, kubetest.Debian} {
			t.Run(mode+"/"+string(image), func(t *testing.T) {
				t.Parallel()
				namespace := kubetest.Shared(t).Namespace(t)
				runPod(t, namespace, "web", func(p *kubetest.Pod) { p.Image = image })
				x := newExecutor(t, namespace, func(o *kube.Options) { o.Direct, o.SpoolDir = mode == "direct", t.TempDir() })
				awaitRunning(t, x, "web")
				exectest.Run(t, func(*testing.T) exectest.Subject {
					return exectest.Subject{Executor: x, Target: exec.Target{Name: "web"}, Patience: patience}
				})
			})
		}
	}
}
