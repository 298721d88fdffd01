package kube_test

import (
	"strings"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// TestAnotherServerFindsTheShim: whatever has become of the pod since the first
// server placed a shim, the second one goes on with that, and a command is not
// started twice.
func TestAnotherServerFindsTheShim(t *testing.T) {
	c := kubetest.Shared(t)
	for name, test := range map[string]struct {
		script string // what the command does to the container
		change func(*corev1.Pod)
	}{
		"AFullVolume": {script: "dd if=/dev/zero of=/one/much bs=64k 2>/dev/null; dd if=/dev/zero of=/one/more bs=512 2>/dev/null"},
		"AProgramThatWasDeletedFromAFullVolume": {
			script: "dd if=/dev/zero of=/one/much bs=64k 2>/dev/null; rm /one/.rdev-0/rdev-shim-*; dd if=/dev/zero of=/one/more bs=64k 2>/dev/null"},
		"AnotherWorkspace": {script: ":", change: func(pod *corev1.Pod) { pod.Annotations[kube.WorkspaceAnnotation] = "/one" }},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			namespace := c.Namespace(t)
			pod := runPod(t, namespace, "web", func(p *kubetest.Pod) {
				p.EmptyDirs = []string{"/one", "/two"}
				p.Mutate = func(pod *corev1.Pod) {
					limit := resource.MustParse("24Mi")
					pod.Spec.Volumes[0].EmptyDir = &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &limit}
				}
			})
			first := newExecutor(t, namespace, nil)
			cmd := exec.Command{
				ID: "test-once", Target: awaitRunning(t, first, "web"),
				Argv: []string{"sh", "-c", "echo ran >>/tmp/ran; " + test.script + "; touch /tmp/ready; while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 3"},
			}
			one := startCommand(limited(t), first, cmd)
			eventually(t, "the command is ready", func() bool {
				out, err := c.Exec(t.Context(), pod, "ls", "/tmp/ready")
				return err == nil && out.Code == 0
			})
			if test.change != nil {
				now, err := c.Client().CoreV1().Pods(namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
				is.NoErr(err)
				test.change(now)
				_, err = c.Client().CoreV1().Pods(namespace).Update(t.Context(), now, metav1.UpdateOptions{})
				is.NoErr(err)
			}
			second := newExecutor(t, namespace, nil)
			in, err := second.Inspect(limited(t), "web")
			is.NoErr(err)
			is.Equal(in.Running, 1) // it is that shim
			two := startCommand(limited(t), second, cmd)
			_, err = c.Exec(limited(t), pod, "touch", "/tmp/go")
			is.NoErr(err)
			for _, r := range []*running{one, two} {
				r.wait(t)
				is.NoErr(r.err)
				is.Equal(r.result.ExitCode, 3)
			}
			out, err := c.Exec(limited(t), pod, "sh", "-c", "cat /tmp/ran; echo /*/.rdev-0/state-*")
			is.NoErr(err)
			ran, states, _ := strings.Cut(string(out.Stdout), "\n")
			is.Equal(ran, "ran")
			is.Equal(len(strings.Fields(states)), 1)
			is.True(strings.HasPrefix(states, "/one/"))
		})
	}
	t.Run("CancelDoesNotSayThatAllIsWell", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		runPod(t, namespace, "web", nil)
		direct := newExecutor(t, namespace, func(o *kube.Options) { o.Direct = true })
		target := awaitRunning(t, direct, "web")
		is.NoErr(direct.Cancel(limited(t), target, "test-unknown"))
		first := newExecutor(t, namespace, nil)
		start(limited(t), first, target, "true").wait(t)
		err := direct.Cancel(limited(t), target, "test-unknown")
		is.True(err != nil && strings.Contains(err.Error(), "it may run under a shim"))
	})
}
