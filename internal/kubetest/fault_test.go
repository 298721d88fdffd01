package kubetest_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/matryer/is"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/internal/kubetest"
)

func clientFor(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// faulty returns the shared cluster if its parts can be killed.
func faulty(t *testing.T) *kubetest.Cluster {
	t.Helper()
	c := kubetest.Shared(t)
	if c.External() {
		t.Skip("the parts of the cluster in RDEV_TEST_KUBECONFIG cannot be killed")
	}
	return c
}

func TestFaults(t *testing.T) {
	for _, part := range kubetest.Parts() {
		t.Run("TheClusterWorksAfterAKilled"+string(part), func(t *testing.T) {
			is := is.New(t)
			c := faulty(t)
			before := c.RunPod(t, kubetest.Pod{})
			pid, err := c.PID(part)
			is.NoErr(err)
			is.NoErr(c.Kill(limited(t), part))
			_, err = c.PID(part)
			is.True(err != nil) // it is dead
			is.NoErr(c.StartPart(limited(t), part))
			again, err := c.PID(part)
			is.NoErr(err)
			is.True(again != pid)

			// The old pod still runs, the very same container; a new one can.
			echo(t, c, before)
			after, err := c.Client().CoreV1().Pods(before.Namespace).Get(limited(t), before.Name, metav1.GetOptions{})
			is.NoErr(err)
			is.Equal(after.Status.ContainerStatuses[0].ContainerID, before.Status.ContainerStatuses[0].ContainerID)
			is.Equal(after.Status.ContainerStatuses[0].RestartCount, int32(0))
			echo(t, c, c.RunPod(t, kubetest.Pod{}))
		})
	}
	t.Run("APartEndsWhenAskedTo", func(t *testing.T) {
		is := is.New(t)
		c := faulty(t)
		is.NoErr(c.Terminate(limited(t), kubetest.Kubelet))
		is.NoErr(c.StartPart(limited(t), kubetest.Kubelet))
		echo(t, c, c.RunPod(t, kubetest.Pod{}))
	})
	t.Run("APausedPartGoesOn", func(t *testing.T) {
		is := is.New(t)
		c := faulty(t)
		pod := c.RunPod(t, kubetest.Pod{})
		is.NoErr(c.Pause(kubetest.Kubelet))
		is.NoErr(c.Resume(kubetest.Kubelet))
		echo(t, c, pod)
	})
	t.Run("APartThatRunsIsNotStartedTwice", func(t *testing.T) {
		is := is.New(t)
		err := faulty(t).StartPart(limited(t), kubetest.Etcd)
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "already runs"))
	})
	t.Run("AnExternalClusterHasNoPartsToKill", func(t *testing.T) {
		is := is.New(t)
		c, err := kubetest.Start(limited(t), kubetest.Config{CacheDir: t.TempDir(), Kubeconfig: kubetest.Shared(t).Kubeconfig()})
		is.NoErr(err)
		is.True(c.External())
		_, err = c.Client().CoreV1().Nodes().List(limited(t), metav1.ListOptions{})
		is.NoErr(err)
		is.Equal(c.Kill(limited(t), kubetest.Etcd), kubetest.ErrExternal)
		is.NoErr(c.Stop()) // does nothing
		_, err = kubetest.Shared(t).Client().CoreV1().Nodes().List(limited(t), metav1.ListOptions{})
		is.NoErr(err)
	})
	t.Run("KubectlAndKubeconfigReachTheCluster", func(t *testing.T) {
		is := is.New(t)
		c := faulty(t)
		out, err := exec.CommandContext(limited(t), c.Kubectl(), "--kubeconfig", c.Kubeconfig(), "get", "nodes", "-o", "name").CombinedOutput()
		is.NoErr(err)
		is.Equal(string(out), "node/localhost\n")
	})
}
