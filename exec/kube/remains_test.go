package kube_test

import (
	"strings"
	"testing"

	"github.com/matryer/is"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// TestVolumesDoNotFillUp: what a run of the container has left in a volume is
// deleted by the next one, and the shim is told what it may keep.
func TestVolumesDoNotFillUp(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", func(p *kubetest.Pod) {
		p.EmptyDirs = []string{"/scratch"}
		p.Command = []string{"sh", "-c", "while [ ! -e /tmp/end ]; do sleep 0.1; done"}
	})
	x := newExecutor(t, namespace, func(o *kube.Options) { o.MaxEndedBytes, o.Patience = 1<<20, patience })
	look := func(script string) string {
		t.Helper()
		out, err := c.Exec(limited(t), pod, "sh", "-c", script)
		is.NoErr(err)
		return strings.TrimSpace(string(out.Stdout))
	}
	target := awaitRunning(t, x, "web")
	for range 4 {
		r := start(limited(t), x, target, "seq", "1", "100000")
		r.wait(t)
		is.NoErr(r.err)
	}
	// That they ended is remembered for longer.
	eventually(t, "the output of the oldest is deleted", func() bool { return look("find /scratch/.rdev-0/state-*/v1/test-* -name '*.seg' | wc -l") == "1" })
	before := look("ls -d /scratch/.rdev-0/state-*")
	is.Equal(len(strings.Fields(before)), 1)
	look("cd /scratch/.rdev-0; touch -d '2020-01-01 00:00' rdev-shim-0123456789abcdef; mkdir state-of-another; touch /tmp/end")
	eventually(t, "the container runs again", func() bool {
		now, err := c.Client().CoreV1().Pods(namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
		return err == nil && now.Status.ContainerStatuses[0].RestartCount == 1 && now.Status.ContainerStatuses[0].State.Running != nil
	})
	var r *running
	eventually(t, "a command runs in the new one", func() bool {
		r = start(limited(t), x, exec.Target{Name: "web"}, "true")
		r.wait(t)
		return r.err == nil
	})
	after := strings.Fields(look("cd /scratch/.rdev-0; ls"))
	is.Equal(len(after), 3) // program, another's state, and this one
	is.True(!strings.Contains(strings.Join(after, " "), before[strings.LastIndexByte(before, '/')+1:]))
	is.True(strings.Contains(strings.Join(after, " "), "state-of-another"))
	is.True(!strings.Contains(strings.Join(after, " "), "0123456789abcdef"))
}
