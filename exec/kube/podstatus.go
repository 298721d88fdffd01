package kube

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/rdev"
)

// brokenReasons are those of a waiting container that does not come to life by
// itself. An image that cannot be pulled is none: the kubelet goes on trying,
// and the pod is pending to Kubernetes, too.
var brokenReasons = map[string]bool{
	"CrashLoopBackOff": true, "InvalidImageName": true, "ErrImageNeverPull": true,
	"CreateContainerError": true, "CreateContainerConfigError": true, "RunContainerError": true,
}

// statusOf says what a pod is doing as far as the container is concerned, and
// why that is not running.
func statusOf(pod *corev1.Pod, container string) (rdev.Status, string) {
	state := containerStatus(pod, container)
	switch {
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		return rdev.StatusFailed, "the pod has ended: " + orDefault(whyEnded(pod, container), string(pod.Status.Phase))
	case !hasContainer(pod, container):
		return rdev.StatusFailed, fmt.Sprintf("the pod has no container %q", container)
	case pod.DeletionTimestamp != nil:
		return rdev.StatusPending, "the pod is being deleted"
	case unscheduled(pod) != "":
		return rdev.StatusPending, "no node was found for the pod: " + unscheduled(pod)
	case state != nil && state.State.Running != nil:
		return rdev.StatusRunning, ""
	case state != nil && state.State.Terminated != nil:
		return rdev.StatusFailed, "the container has ended: " + describeEnd(state.State.Terminated)
	}
	if init := startingInit(pod); init != nil {
		return waitingFor(fmt.Sprintf("the init container %s", init.Name), init.State)
	}
	if state == nil {
		return rdev.StatusPending, "the pod is starting"
	}
	return waitingFor("the container", state.State)
}

// waitingFor says what a container that is to run does instead.
func waitingFor(what string, state corev1.ContainerState) (rdev.Status, string) {
	switch {
	case state.Terminated != nil && state.Terminated.ExitCode != 0:
		return rdev.StatusFailed, what + " has ended: " + describeEnd(state.Terminated)
	case state.Running != nil:
		return rdev.StatusPending, what + " is running"
	case state.Waiting == nil:
		return rdev.StatusPending, what + " is starting"
	}
	detail := what + " waits" + colon(state.Waiting.Reason) + colon(state.Waiting.Message)
	if brokenReasons[state.Waiting.Reason] {
		return rdev.StatusFailed, detail
	}
	return rdev.StatusPending, detail
}

// startingInit returns the init container that the pod is held up by, if any.
func startingInit(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.InitContainerStatuses {
		s := &pod.Status.InitContainerStatuses[i]
		if s.State.Terminated == nil || s.State.Terminated.ExitCode != 0 {
			return s
		}
	}
	return nil
}

// whyEnded says why the container, or the whole pod, has ended: OOMKilled,
// Evicted, an exit code. It is empty if the pod does not say.
func whyEnded(pod *corev1.Pod, container string) string {
	if pod.Status.Reason != "" { // Evicted, NodeLost, DeadlineExceeded: the better reason
		return strings.TrimSpace(pod.Status.Reason + colon(pod.Status.Message))
	}
	state := containerStatus(pod, container)
	switch {
	case state != nil && state.State.Terminated != nil:
		return describeEnd(state.State.Terminated)
	case state != nil && state.LastTerminationState.Terminated != nil:
		return describeEnd(state.LastTerminationState.Terminated)
	}
	if init := startingInit(pod); init != nil && init.State.Terminated != nil {
		return "the init container " + init.Name + " has ended: " + describeEnd(init.State.Terminated)
	}
	return ""
}

func describeEnd(t *corev1.ContainerStateTerminated) string {
	if t.Reason == "" || t.Reason == "Error" {
		return fmt.Sprintf("exit code %d", t.ExitCode) + colon(t.Message)
	}
	return t.Reason + colon(t.Message)
}

func containerStatus(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == container {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

func hasContainer(pod *corev1.Pod, container string) bool {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == container {
			return true
		}
	}
	return false
}

// unscheduled says why no node was found for the pod.
func unscheduled(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return ""
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func orDefault(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}
