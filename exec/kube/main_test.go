package kube_test

import (
	"context"
	"maps"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
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
	options := &kube.Options{Namespace: namespace, Version: "test"}
	if change != nil {
		change(options)
	}
	x, err := kube.New(kubetest.Shared(t).RESTConfig(), options)
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
