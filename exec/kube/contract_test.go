package kube_test

import (
	"testing"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

func TestContractInDirectMode(t *testing.T) {
	for _, image := range []kubetest.Image{kubetest.Busybox, kubetest.Debian} {
		t.Run(string(image), func(t *testing.T) {
			namespace := kubetest.Shared(t).Namespace(t)
			runPod(t, namespace, "web", func(p *kubetest.Pod) { p.Image = image })
			x := newExecutor(t, namespace, func(o *kube.Options) { o.SpoolDir = t.TempDir() })
			awaitRunning(t, x, "web")
			exectest.Run(t, func(*testing.T) exectest.Subject {
				return exectest.Subject{Executor: x, Target: exec.Target{Name: "web"}, Patience: patience}
			})
		})
	}
}
