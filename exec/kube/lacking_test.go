package kube_test

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// shim is the one for this machine's architecture, as it is in the package.
func shim(t *testing.T) []byte {
	t.Helper()
	file, err := os.Open("binaries/rdev-shim-linux-" + runtime.GOARCH + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPodsThatLackSomething(t *testing.T) {
	c := kubetest.Shared(t)
	t.Run("WithoutShellItIsNamed", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		runPod(t, namespace, "web", func(p *kubetest.Pod) { p.Image = kubetest.NoShell })
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, awaitRunning(t, x, "web"), "echo", "hi")
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrTargetNotReady))
		is.True(strings.Contains(r.err.Error(), "no sh"))
	})
	t.Run("WithoutShellAShimThatIsThereServes", func(t *testing.T) {
		is := is.New(t)
		if c.External() {
			t.Skip("needs a folder of the node")
		}
		namespace := c.Namespace(t)
		folder := t.TempDir()
		is.NoErr(os.WriteFile(filepath.Join(folder, "rdev-shim"), shim(t), 0o755))
		runPod(t, namespace, "web", func(p *kubetest.Pod) {
			p.Image = kubetest.NoShell
			p.Annotations = map[string]string{kube.ShimAnnotation: "/rdev/rdev-shim"}
			p.Mutate = func(pod *corev1.Pod) {
				pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
					Name: "rdev", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder}},
				})
				pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "rdev", MountPath: "/rdev"})
			}
		})
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, awaitRunning(t, x, "web"), "/rdev/rdev-shim")
		r.wait(t)
		is.NoErr(r.err)
		is.Equal(r.result.ExitCode, 1) // it says how it is to be used
	})
	t.Run("UnderAShimThatIsThereTheEnvironmentIsTheContainers", func(t *testing.T) {
		if c.External() {
			t.Skip("needs a folder of the node")
		}
		said := make(map[string]string)
		for _, how := range []string{"placed", "there", "there, of an earlier version"} {
			is := is.New(t)
			namespace := c.Namespace(t)
			folder := t.TempDir()
			is.NoErr(os.WriteFile(filepath.Join(folder, "rdev-shim"), shim(t), 0o755))
			const earlier = "#!/bin/sh\nif [ \"$1\" = prepare ]; then echo 'flag provided but not defined: -describe' >&2; exit 1; fi\nexec /rdev/rdev-shim \"$@\"\n"
			is.NoErr(os.WriteFile(filepath.Join(folder, "earlier"), []byte(earlier), 0o755))
			runPod(t, namespace, "web", func(p *kubetest.Pod) {
				p.Env = map[string]string{"TOKEN": "it's a \"secret\"\nof two lines"}
				p.Annotations = nil
				switch how {
				case "there":
					p.Annotations = map[string]string{kube.ShimAnnotation: "/rdev/rdev-shim"}
				case "there, of an earlier version":
					p.Annotations = map[string]string{kube.ShimAnnotation: "/rdev/earlier"}
				}
				p.Mutate = func(pod *corev1.Pod) {
					pod.Spec.Containers[0].WorkingDir = "/tmp"
					pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
						Name: "rdev", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder}},
					})
					pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "rdev", MountPath: "/rdev"})
				}
			})
			x := newExecutor(t, namespace, nil)
			r := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", "pwd; env | grep -v -e RDEV_ -e HOSTNAME | sort")
			r.wait(t)
			is.NoErr(r.err)
			said[how] = r.text()
		}
		is := is.New(t)
		is.True(strings.HasPrefix(said["placed"], "/tmp\n"))
		is.True(strings.Contains(said["placed"], "TOKEN=it's a \"secret\"\n"))
		is.Equal(said["there"], said["placed"])
		is.True(strings.HasPrefix(said["there, of an earlier version"], "/\n")) // it runs all the same
	})
	t.Run("AShimThatIsNotThereIsNamed", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		runPod(t, namespace, "web", func(p *kubetest.Pod) { p.Annotations[kube.ShimAnnotation] = "/rdev/rdev-shim" })
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, awaitRunning(t, x, "web"), "true")
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrTargetNotReady))
		is.True(strings.Contains(r.err.Error(), "there is no program /rdev/rdev-shim"))
	})
	t.Run("AReadOnlyRootWithAVolumeHasAShim", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		pod := runPod(t, namespace, "web", func(p *kubetest.Pod) {
			p.Image, p.ReadOnlyRoot, p.EmptyDirs = kubetest.ReadOnly, true, []string{"/scratch"}
			p.Annotations[kube.WorkspaceAnnotation] = "/"
		})
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", "echo hi; exit 4")
		r.wait(t)
		is.NoErr(r.err)
		is.Equal(r.result.ExitCode, 4)
		out, err := c.Exec(limited(t), pod, "sh", "-c", "ls -d /scratch/.rdev-*/rdev-shim-*")
		is.NoErr(err)
		is.Equal(out.Code, 0)
	})
	t.Run("AReadOnlyRootIsNoHindrance", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		runPod(t, namespace, "web", func(p *kubetest.Pod) {
			p.Image, p.ReadOnlyRoot = kubetest.ReadOnly, true
			p.Annotations[kube.WorkspaceAnnotation] = "/"
		})
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", "echo hi; exit 4")
		r.wait(t)
		is.NoErr(r.err)
		is.Equal(r.text(), "hi\n")
		is.Equal(r.result.ExitCode, 4)
	})
	t.Run("AForeignUserIsNoHindrance", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		user := int64(12345)
		runPod(t, namespace, "web", func(p *kubetest.Pod) { p.User = &user })
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, awaitRunning(t, x, "web"), "id", "-u")
		r.wait(t)
		is.NoErr(r.err)
		is.Equal(r.text(), "12345\n")
	})
	t.Run("AMissingContainerIsNamed", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		runPod(t, namespace, "web", func(p *kubetest.Pod) { p.Annotations[kube.ContainerAnnotation] = "absent" })
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, exec.Target{Name: "web"}, "true")
		r.wait(t)
		is.True(errors.Is(r.err, exec.ErrTargetNotReady))
		is.True(strings.Contains(r.err.Error(), `no container "absent"`))
	})
}
