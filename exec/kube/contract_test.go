package kube_test

import (
	"testing"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

func TestContract(t *testing.T) { testContract(t, func(o *kube.Options) {}) }

func TestContractInDirectMode(t *testing.T) {
	testContract(t, func(o *kube.Options) { o.Direct, o.SpoolDir = true, t.TempDir() })
}

func testContract(t *testing.T, change func(*kube.Options)) {
	for _, image := range []kubetest.Image{kubetest.Busybox, kubetest.Debian} {
		t.Run(string(image), func(t *testing.T) {
			namespace := kubetest.Shared(t).Namespace(t)
			runPod(t, namespace, "web", func(p *kubetest.Pod) { p.Image = image })
			x := newExecutor(t, namespace, change)
			awaitRunning(t, x, "web")
			exectest.Run(t, func(*testing.T) exectest.Subject {
				return exectest.Subject{Executor: x, Target: exec.Target{Name: "web"}, Patience: patience}
			})
		})
	}
}
