package kubetest_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/internal/kubetest"
)

// TestNetworks: a pod with a network of its own reaches the API server as in any
// cluster, and what is exposed to it; this machine reaches the pod.
func TestNetworks(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	if c.External() {
		t.Skip("how pods reach what is on this machine is not known of another cluster")
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello, pod") }))
	t.Cleanup(page.Close)
	exposed := c.Expose(t, page.Listener.Addr().String())
	pod := c.RunPod(t, kubetest.Pod{
		Command: []string{"nc", "-ll", "-p", "8080", "-e", "echo", "hello, test"},
		Mutate:  func(p *corev1.Pod) { p.Spec.HostNetwork = false },
	})
	is.True(net.ParseIP(pod.Status.PodIP) != nil)

	out, err := c.Exec(limited(t), pod, "wget", "-q", "-O", "-", "http://"+exposed)
	is.NoErr(err)
	is.Equal(string(out.Stdout), "hello, pod\n")
	out, err = c.Exec(limited(t), pod, "sh", "-c", `echo | nc $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT && echo connected`)
	is.NoErr(err)
	is.Equal(string(out.Stdout), "connected\n")

	conn, err := net.Dial("tcp", net.JoinHostPort(pod.Status.PodIP, "8080"))
	is.NoErr(err)
	defer conn.Close()
	said := make([]byte, 64)
	n, err := conn.Read(said)
	is.NoErr(err)
	is.Equal(string(said[:n]), "hello, test\n")
}
