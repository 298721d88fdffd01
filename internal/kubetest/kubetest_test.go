package kubetest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/internal/kubetest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func echo(t *testing.T, c *kubetest.Cluster, pod *corev1.Pod) {
	t.Helper()
	out, err := c.Exec(limited(t), pod, "echo", "hi")
	if err != nil {
		t.Fatal(err)
	}
	if string(out.Stdout) != "hi\n" || out.Code != 0 {
		t.Fatalf("echo hi: %q, code %d, stderr %q", out.Stdout, out.Code, out.Stderr)
	}
}

func TestPods(t *testing.T) {
	t.Run("ABusyboxPodRunsCommands", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		pod := c.RunPod(t, kubetest.Pod{
			Labels:      map[string]string{"a": "b"},
			Annotations: map[string]string{"c": "with spaces"},
			Env:         map[string]string{"GREETING": "good day"},
		})
		is.Equal(pod.Status.Phase, corev1.PodRunning)
		is.Equal(pod.Labels["a"], "b")
		is.Equal(pod.Annotations["c"], "with spaces")
		echo(t, c, pod)
		out, err := c.Exec(limited(t), pod, "sh", "-c", "echo $GREETING; echo bad >&2; exit 3")
		is.NoErr(err)
		is.Equal(string(out.Stdout), "good day\n")
		is.Equal(string(out.Stderr), "bad\n")
		is.Equal(out.Code, 3)
	})
	t.Run("TheDebianImageHasGit", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		pod := c.RunPod(t, kubetest.Pod{Image: kubetest.Debian})
		out, err := c.Exec(limited(t), pod, "bash", "-c", "cd /tmp && git init -q x && cd x && git status --short && git --version")
		is.NoErr(err)
		is.Equal(out.Code, 0)
		is.True(len(out.Stdout) > 0)
	})
	t.Run("TheImageWithoutShellHasNone", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		pod := c.RunPod(t, kubetest.Pod{Image: kubetest.NoShell})
		out, err := c.Exec(limited(t), pod, "sh", "-c", "echo hi")
		is.True(err != nil || out.Code != 0) // kubelets differ in which of the two it is
	})
	t.Run("AReadOnlyRootCanBeWrittenInEmptyDirsOnly", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		pod := c.RunPod(t, kubetest.Pod{Image: kubetest.ReadOnly, ReadOnlyRoot: true, EmptyDirs: []string{"/scratch"}})
		out, err := c.Exec(limited(t), pod, "sh", "-c", "id -u; touch /scratch/x && echo written; touch /x /tmp/x")
		is.NoErr(err)
		is.True(out.Code != 0)
		if !c.External() {
			is.Equal(string(out.Stdout), "65532\nwritten\n")
		}
	})
	t.Run("AForeignUserRuns", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		user := int64(12345)
		pod := c.RunPod(t, kubetest.Pod{User: &user})
		out, err := c.Exec(limited(t), pod, "id", "-u")
		is.NoErr(err)
		is.Equal(string(out.Stdout), "12345\n")
	})
	t.Run("ADeletedPodIsGoneAndItsNameIsFree", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		first := c.RunPod(t, kubetest.Pod{})
		is.NoErr(c.DeletePod(limited(t), first.Namespace, first.Name))
		second := c.RunPod(t, kubetest.Pod{Name: first.Name})
		is.True(first.UID != second.UID)
		echo(t, c, second)
	})
	t.Run("ANamespaceTakesPods", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		pod := c.RunPod(t, kubetest.Pod{Namespace: c.Namespace(t)})
		list, err := c.Client().CoreV1().Pods(pod.Namespace).List(limited(t), metav1.ListOptions{})
		is.NoErr(err)
		is.Equal(len(list.Items), 1)
	})
	t.Run("APodThatCannotStartIsAnErrorAtOnce", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		_, err := c.CreatePod(limited(t), kubetest.Pod{
			Command: []string{"/not/there"},
			Mutate:  func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever },
		})
		is.True(err != nil)
		is.True(limited(t).Err() == nil)
	})
	t.Run("AContainerThatUsesTooMuchMemoryIsOOMKilled", func(t *testing.T) {
		is := is.New(t)
		c := kubetest.Shared(t)
		pod := c.RunPod(t, kubetest.Pod{
			Command: []string{"sh", "-c", "sleep 2; exec tail /dev/zero"},
			Memory:  "32Mi",
			Mutate:  func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever },
		})
		ctx := limited(t)
		for ; pod.Status.Phase == corev1.PodRunning; time.Sleep(100 * time.Millisecond) {
			var err error
			pod, err = c.Client().CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
			is.NoErr(err)
		}
		is.Equal(pod.Status.ContainerStatuses[0].State.Terminated.Reason, "OOMKilled")
	})
	t.Run("SomebodyWithoutRightsMayDoNothing", func(t *testing.T) {
		is := is.New(t)
		config := kubetest.Shared(t).RESTConfig()
		config.Impersonate.UserName = "nobody"
		_, err := clientFor(t, config).CoreV1().Pods("default").List(limited(t), metav1.ListOptions{})
		is.True(err != nil)
	})
}
