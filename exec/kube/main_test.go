package kube_test

import (
	"context"
	"maps"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/internal/kubetest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }

// patience is how long tests wait for what must happen. It is spent only where
// something is wrong.
const patience = time.Minute

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

// projectPod returns a pod that belongs to the project.
func projectPod(namespace, project string) kubetest.Pod {
	return kubetest.Pod{
		Namespace:   namespace,
		Labels:      map[string]string{kube.ProjectLabel: "true", kube.NameLabel: project},
		Annotations: map[string]string{kube.WorkspaceAnnotation: "/workspace"},
	}
}

// runPod runs a pod of the project, changed by change.
func runPod(t *testing.T, namespace, project string, change func(*kubetest.Pod)) *corev1.Pod {
	t.Helper()
	p := projectPod(namespace, project)
	if change != nil {
		p.Labels, p.Annotations = maps.Clone(p.Labels), maps.Clone(p.Annotations)
		change(&p)
	}
	return kubetest.Shared(t).RunPod(t, p)
}

func newExecutor(t *testing.T, namespace string, change func(*kube.Options)) *kube.Executor {
	t.Helper()
	return newExecutorAt(t, kubetest.Shared(t).RESTConfig(), namespace, change)
}

// newExecutorAt is newExecutor with another way to the API server.
func newExecutorAt(t *testing.T, config *rest.Config, namespace string, change func(*kube.Options)) *kube.Executor {
	t.Helper()
	options := &kube.Options{Namespace: namespace, Version: "test"}
	if change != nil {
		change(options)
	}
	x, err := kube.New(config, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := x.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return x
}

// through returns a proxy to the API server, and the way that leads through it.
func through(t *testing.T, plan func(n int) faultproxy.Fault) (*faultproxy.Proxy, *rest.Config) {
	t.Helper()
	config := kubetest.Shared(t).RESTConfig()
	server, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	port := server.Port()
	if port == "" {
		port = "443"
	}
	proxy := faultproxy.New(t, net.JoinHostPort(server.Hostname(), port), plan)
	config.ServerName = server.Hostname() // what the certificate is for
	server.Host = proxy.Addr()
	config.Host = server.String()
	return proxy, config
}

// awaitRunning waits until commands can run in the project.
func awaitRunning(t *testing.T, x *kube.Executor, project string) exec.Target {
	t.Helper()
	var target exec.Target
	eventually(t, "the project "+project+" is there", func() (ok bool) {
		var err error
		target, err = x.Locate(t.Context(), project)
		return err == nil
	})
	return target
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}
