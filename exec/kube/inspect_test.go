package kube_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

func TestInspect(t *testing.T) {
	c := kubetest.Shared(t)
	t.Run("ThePlacedShimIsFoundAndCounts", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		pod := runPod(t, namespace, "web", nil)
		x := newExecutor(t, namespace, nil)
		r := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", "echo up; sleep 600")
		eventually(t, "it runs", func() bool { return r.text() == "up\n" })
		in, err := x.Inspect(limited(t), "web")
		is.NoErr(err)
		is.True(strings.Contains(in.Pod, pod.Name))
		is.True(strings.Contains(in.Shim, "/rdev-shim-"))
		is.Equal(in.Direct, "")
		is.Equal(in.Running, 1)
		is.Equal(in.Workspace, "/workspace")
		is.Equal(in.Init, "pause")
		is.NoErr(in.Reaping)
		is.True(in.Reaps)
	})
	t.Run("AShimOfAnotherBuildIsTold", func(t *testing.T) {
		if c.External() {
			t.Skip("needs a folder of the node")
		}
		for name, more := range map[string]string{"Own": "", "Foreign": "of another build"} {
			t.Run(name, func(t *testing.T) {
				is := is.New(t)
				namespace := c.Namespace(t)
				folder := t.TempDir()
				is.NoErr(os.WriteFile(filepath.Join(folder, "rdev-shim"), append(shim(t), more...), 0o755))
				runPod(t, namespace, "web", func(p *kubetest.Pod) {
					p.Annotations[kube.ShimAnnotation] = "/rdev/rdev-shim"
					p.Mutate = func(pod *corev1.Pod) {
						pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
							Name: "rdev", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder}},
						})
						pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "rdev", MountPath: "/rdev"})
					}
				})
				x := newExecutor(t, namespace, nil)
				awaitRunning(t, x, "web")
				in, err := x.Inspect(limited(t), "web")
				is.NoErr(err)
				is.Equal(in.Shim, "/rdev/rdev-shim")
				is.Equal(in.Foreign, more != "")
			})
		}
	})
}
