package kube

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stripPod keeps of a pod what this package reads: managed fields, environment
// and probes are most of a pod's size, and there may be thousands of pods.
func stripPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil // a tombstone: it holds a pod that was stripped
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:              pod.Name,
			Namespace:         pod.Namespace,
			UID:               pod.UID,
			ResourceVersion:   pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp,
			DeletionTimestamp: pod.DeletionTimestamp,
			Labels:            keepKeys(pod.Labels),
			Annotations:       keepKeys(pod.Annotations),
		},
		Status: corev1.PodStatus{
			Phase:                 pod.Status.Phase,
			Reason:                pod.Status.Reason,
			Message:               pod.Status.Message,
			ContainerStatuses:     pod.Status.ContainerStatuses,
			InitContainerStatuses: initStatuses(pod),
		},
	}
	for _, c := range pod.Spec.Containers {
		kept.Spec.Containers = append(kept.Spec.Containers, corev1.Container{Name: c.Name, WorkingDir: c.WorkingDir, VolumeMounts: c.VolumeMounts})
	}
	for _, v := range pod.Spec.Volumes {
		if v.EmptyDir != nil {
			kept.Spec.Volumes = append(kept.Spec.Volumes, v)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady || c.Type == corev1.PodScheduled {
			kept.Status.Conditions = append(kept.Status.Conditions, c)
		}
	}
	return kept, nil
}

// initStatuses are those of the init containers that the others wait for the end
// of. Sidecars are init containers, too, and do not end.
func initStatuses(pod *corev1.Pod) []corev1.ContainerStatus {
	var kept []corev1.ContainerStatus
	for _, s := range pod.Status.InitContainerStatuses {
		if !slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
			return c.Name == s.Name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}) {
			kept = append(kept, s)
		}
	}
	return kept
}

func keepKeys(m map[string]string) map[string]string {
	kept := make(map[string]string)
	for key, value := range m {
		if strings.HasPrefix(key, prefix) || key == defaultContainerAnnotation || key == podIndexLabel {
			kept[key] = value
		}
	}
	return kept
}
