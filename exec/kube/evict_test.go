package kube_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/internal/kubetest"
	"github.com/orchard9/rdev/rdev"
)

// TestEvicted: the kubelet evicts a pod that fills its volume beyond the limit.
// What ran in it is lost with that reason, and the project says it, too.
func TestEvicted(t *testing.T) {
	is := is.New(t)
	namespace := kubetest.Shared(t).Namespace(t)
	runPod(t, namespace, "web", func(p *kubetest.Pod) {
		p.EmptyDirs = []string{"/scratch"}
		// One that ends with 0 when it is told to has succeeded: the kubelet then
		// forgets that it was evicted.
		p.Command = []string{"sh", "-c", "sleep 100000"}
		p.Mutate = func(pod *corev1.Pod) {
			limit := resource.MustParse("8Mi") // the shim goes there, too
			pod.Spec.Volumes[0].EmptyDir.SizeLimit = &limit
		}
	})
	x := newExecutor(t, namespace, nil)
	r := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", "echo up; dd if=/dev/zero of=/scratch/much bs=1M count=16 2>/dev/null; sleep 600")
	r.wait(t)
	is.True(errors.Is(r.err, exec.ErrLost))
	is.True(strings.Contains(r.err.Error(), "Evicted"))
	is.Equal(r.text(), "up\n")
	eventually(t, "the project has failed", func() bool { return look(t, x, "web").Status == rdev.StatusFailed })
	detail := look(t, x, "web").Detail
	is.True(strings.Contains(detail, "Evicted"))
	is.True(strings.Contains(detail, "exceeds the limit"))
}
