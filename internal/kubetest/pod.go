package kubetest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// Container is the name of the one container that a pod has.
const Container = "main"

// Pod says what pod to create. The zero value of each field is fine.
type Pod struct {
	// Name defaults to "pod-" and five random characters.
	Name string
	// Namespace defaults to "default". See Cluster.CreateNamespace.
	Namespace string
	// Labels and Annotations default to none.
	Labels, Annotations map[string]string
	// Image defaults to Busybox.
	Image Image
	// Command defaults to a process that waits, reaps the children that it
	// inherits and ends when it is told to. It is not run in a shell.
	Command []string
	// Env is the environment of the container, besides PATH.
	Env map[string]string
	// EmptyDirs are the folders to mount an empty volume at.
	EmptyDirs []string
	// ReadOnlyRoot makes everything but EmptyDirs read-only.
	ReadOnlyRoot bool
	// User is the user id to run as. Defaults to the image's.
	User *int64
	// Memory limits the memory, as in "64Mi". Defaults to no limit.
	Memory string
	// Mutate, if set, is called with the finished pod before it is created, for
	// whatever the fields above do not say.
	Mutate func(*corev1.Pod)
}

// CreatePod creates a pod, loads its image first if need be, and returns it as
// it is when it runs and is ready. If ctx ends before that, the error says what
// the pod was waiting for, and the pod remains.
func (c *Cluster) CreatePod(ctx context.Context, p Pod) (*corev1.Pod, error) {
	if p.Image == "" {
		p.Image = Busybox
	}
	if err := c.Load(ctx, p.Image); err != nil {
		return nil, err
	}
	want, err := c.manifest(p)
	if err != nil {
		return nil, err
	}
	made, err := c.client.CoreV1().Pods(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("kubetest: create pod %s: %w", want.Name, err)
	}
	return c.WaitRunning(ctx, made.Namespace, made.Name)
}

func (c *Cluster) manifest(p Pod) (*corev1.Pod, error) {
	if p.Name == "" {
		p.Name = "pod-" + rand.String(5)
	}
	if p.Namespace == "" {
		p.Namespace = "default"
	}
	no := false
	container := corev1.Container{
		Name: Container, Image: c.Reference(p.Image), Command: p.Command,
		ImagePullPolicy: corev1.PullIfNotPresent,
		SecurityContext: &corev1.SecurityContext{ReadOnlyRootFilesystem: &p.ReadOnlyRoot, RunAsUser: p.User},
	}
	if c.machine == nil && len(p.Command) == 0 && p.Image != NoShell {
		container.Command = []string{"/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"}
	}
	for name, value := range p.Env {
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: value})
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, Labels: p.Labels, Annotations: p.Annotations},
	}
	for n, path := range p.EmptyDirs {
		name := fmt.Sprintf("empty-%d", n)
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path})
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		})
	}
	if p.Memory != "" {
		limit, err := resource.ParseQuantity(p.Memory)
		if err != nil {
			return nil, fmt.Errorf("kubetest: Pod.Memory %q: %w", p.Memory, err)
		}
		container.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: limit}
	}
	pod.Spec.Containers = []corev1.Container{container}
	pod.Spec.AutomountServiceAccountToken = &no
	if c.machine != nil {
		// There is no scheduler, and no network but that of the host.
		pod.Spec.NodeName, pod.Spec.HostNetwork, pod.Spec.DNSPolicy = "localhost", true, corev1.DNSDefault
	}
	if p.Mutate != nil {
		p.Mutate(pod)
	}
	return pod, nil
}

// WaitRunning returns the pod once it runs and is ready. It fails at once if the
// pod has ended, or is not there.
func (c *Cluster) WaitRunning(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	var pod *corev1.Pod
	var final error
	err := poll(ctx, func() (err error) {
		pod, err = c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			final = err
			return nil
		case err != nil:
			return err
		case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
			final = errors.New(describe(pod))
			return nil
		case pod.Status.Phase != corev1.PodRunning || !isReady(pod):
			return errors.New(describe(pod))
		}
		return nil
	})
	if err = errors.Join(err, final); err != nil {
		return nil, fmt.Errorf("kubetest: pod %s/%s: %w", namespace, name, err)
	}
	return pod, nil
}

// DeletePod deletes a pod with a grace period of a second, and returns when it
// is gone, so that its name is free again.
func (c *Cluster) DeletePod(ctx context.Context, namespace, name string) error {
	pods := c.client.CoreV1().Pods(namespace)
	second := int64(1)
	err := pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &second})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("kubetest: delete pod: %w", err)
	}
	err = poll(ctx, func() error {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.New(describe(pod))
	})
	if err != nil {
		return fmt.Errorf("kubetest: pod %s/%s is not gone: %w", namespace, name, err)
	}
	return nil
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// describe says in a line how a pod is.
func describe(pod *corev1.Pod) string {
	var b strings.Builder
	fmt.Fprintf(&b, "phase %s %s %s", pod.Status.Phase, pod.Status.Reason, pod.Status.Message)
	for _, s := range pod.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil {
			fmt.Fprintf(&b, "; container %s waits: %s %s", s.Name, w.Reason, w.Message)
		}
		if t := s.State.Terminated; t != nil {
			fmt.Fprintf(&b, "; container %s ended with %d: %s %s", s.Name, t.ExitCode, t.Reason, t.Message)
		}
	}
	return b.String()
}
