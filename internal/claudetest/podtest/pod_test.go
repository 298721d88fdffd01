//go:build linux

package podtest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/claudetest"
	"github.com/orchard9/rdev/internal/kubetest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }

const patience = 3 * time.Minute

// TestClaudeInAPod runs the real claude in a pod that has a network of its own,
// with nothing but loopback in it, and the stand-in for the API beside it.
func TestClaudeInAPod(t *testing.T) {
	program := claudetest.Program(t)
	cluster := kubetest.Shared(t)
	namespace := cluster.Namespace(t)
	cluster.RunPod(t, kubetest.Pod{
		Namespace:   namespace,
		Image:       kubetest.Debian,
		Labels:      map[string]string{kube.ProjectLabel: "true", kube.NameLabel: "web"},
		Annotations: map[string]string{kube.WorkspaceAnnotation: "/workspace"},
		Command:     []string{"/opt/api/api", "127.0.0.1:7777"},
		Env:         claudetest.Env("/root", "/opt/claude:/usr/local/bin:/usr/bin:/bin", "http://127.0.0.1:7777"),
		Mutate: func(pod *corev1.Pod) {
			pod.Spec.HostNetwork = false
			mount(pod, "claude", program, "/opt/claude")
			mount(pod, "api", api(t), "/opt/api")
			if err := cluster.Load(t.Context(), kubetest.Busybox); err != nil {
				t.Fatal(err)
			}
			pod.Spec.InitContainers = []corev1.Container{{
				Name: "cut-off", Image: cluster.Reference(kubetest.Busybox), ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{"/bin/ip", "link", "set", "eth0", "down"},
				SecurityContext: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}}},
			}}
		},
	})
	executor, err := kube.New(cluster.RESTConfig(), &kube.Options{Namespace: namespace, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	service, err := rdev.New(t.Context(), rdev.Config{
		Executor: executor, Projects: executor.Projects(), Commands: rdev.NewMemoryCommands(),
		Broker: stream.NewMemory(stream.MemoryConfig{}), Keys: auth.NewMemory(),
		OnError: func(err error) { t.Log(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := service.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := executor.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err := executor.Locate(t.Context(), "web"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	claudetest.Exercise(t, claudetest.Subject{Service: service, Project: "web", Patience: patience})
}

// mount mounts a folder of this machine, to be read only.
func mount(pod *corev1.Pod, name, from, to string) {
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
		Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: from}},
	})
	c := &pod.Spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: to, ReadOnly: true})
}

// api builds the stand-in and returns its folder.
func api(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "api"), "github.com/orchard9/rdev/internal/claudetest/cmd/api")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) { // the pod's user reads it
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
