package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shared is the cluster of a test process. A package variable, because the
// testing package gives TestMain no other way to hand something to tests.
var shared struct {
	mu      sync.Mutex
	ctx     context.Context // ends with Ctrl-C; nil outside of Run
	cluster *Cluster
	err     error
}

// Run runs the tests of a package, and then stops the cluster if one of them
// called Shared. It returns the exit code, which is a failure if something of the
// cluster is left behind:
//
//	func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }
//
// Ctrl-C stops the cluster, too. After failed tests the logs of the cluster's
// parts are kept in the cache folder, and Run says where.
func Run(m *testing.M) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	shared.mu.Lock()
	shared.ctx = ctx
	shared.mu.Unlock()
	ended := make(chan int, 1)
	go func() { ended <- m.Run() }()
	code := 1
	select {
	case code = <-ended:
	case <-ctx.Done():
	}
	return stopShared(code)
}

// stopShared stops the cluster after tests that ended with code, and returns the
// code to exit with.
func stopShared(code int) int {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	c := shared.cluster
	shared.cluster, shared.err = nil, errors.New("kubetest: the tests are over")
	if c == nil {
		return code
	}
	if code != 0 && c.machine != nil {
		if kept, err := c.machine.keepLogs(); err == nil {
			fmt.Fprintf(os.Stderr, "kubetest: the logs of the cluster are kept in %s\n", kept)
		}
	}
	if err := c.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// Shared returns the cluster that all tests of the process share, starting it at
// the first call. The package's TestMain must call Run. If there is no cluster,
// the test fails: now, and every other that asks. Only with -short it is skipped.
//
// A test that kills parts must not run in parallel with others, and must leave
// all parts running.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("a real cluster takes some twenty seconds to start; not with -short")
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.ctx == nil {
		t.Fatal("kubetest.Shared needs: func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }")
	}
	if shared.cluster == nil && shared.err == nil {
		var cfg Config
		if cfg, shared.err = ConfigFromEnv(); shared.err == nil {
			shared.cluster, shared.err = Start(shared.ctx, cfg)
		}
	}
	if shared.err != nil {
		t.Fatalf("this test needs a Kubernetes cluster, and there is none: %v", shared.err)
	}
	return shared.cluster
}

// podPatience is how long RunPod waits: for the Debian image, too.
const podPatience = 5 * time.Minute

// RunPod is CreatePod for tests: the pod is deleted when the test ends.
func (c *Cluster) RunPod(t testing.TB, p Pod) *corev1.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podPatience)
	defer cancel()
	pod, err := c.CreatePod(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Not waited for: the kubelet ends the containers in its own time.
		now := int64(0)
		_ = c.client.CoreV1().Pods(pod.Namespace).Delete(context.Background(), pod.Name,
			metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
	return pod
}

// Namespace is CreateNamespace for tests: it is deleted when the test ends.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	name, err := c.CreateNamespace(t.Context(), "test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.DeleteNamespace(context.Background(), name) })
	return name
}
