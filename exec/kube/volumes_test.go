package kube

import (
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
)

func TestVolumesOf(t *testing.T) {
	is := is.New(t)
	var pod corev1.Pod
	c := corev1.Container{Name: "main", WorkingDir: "/src"}
	for _, name := range []string{"src", "workspace", "rdev"} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
	c.VolumeMounts = []corev1.VolumeMount{
		{Name: "src", MountPath: "/src"}, {Name: "workspace", MountPath: "/workspace/"}, {Name: "rdev", MountPath: "/var/lib/rdev"},
		{Name: "host", MountPath: "/host"}, {Name: "rdev", MountPath: "/read", ReadOnly: true},
	}
	pod.Spec.Containers = []corev1.Container{{Name: "other"}, c}
	is.Equal(volumesOf(&pod, "main", "/workspace/web"), []string{"/src", "/var/lib/rdev", "/workspace/"})
	is.Equal(volumesOf(&pod, "main", "/workspaces"), []string{"/src", "/workspace/", "/var/lib/rdev"})
	is.Equal(volumesOf(&pod, "main", ""), []string{"/workspace/", "/var/lib/rdev", "/src"}) // its working folder
	is.Equal(len(volumesOf(&pod, "other", "/")), 0)
}
