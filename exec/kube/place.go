package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/rdev"
)

// A place is one incarnation of one container: where commands run.
type place struct {
	project     string
	namespace   string
	pod         string
	uid         types.UID
	container   string
	containerID string
	restarts    int32
	workspace   string   // absolute; empty: the container's working folder
	shim        string   // the program, where the image or a volume has it
	volumes     []string // where the shim may be placed
}

// instance is what Locate tells: it changes when the pod is replaced, under the
// same name too, and when the container restarts.
func (p place) instance() string {
	return fmt.Sprintf("%s/%s/%d", p.uid, p.containerID, p.restarts)
}

func (p place) String() string { return fmt.Sprintf("%s/%s[%s]", p.namespace, p.pod, p.container) }

// isAt reports whether the pod is still the place: the same pod, and the same
// run of its container.
func (p place) isAt(pod *corev1.Pod) bool {
	if pod == nil || pod.UID != p.uid {
		return false
	}
	s := containerStatus(pod, p.container)
	return s != nil && s.State.Running != nil && s.ContainerID == p.containerID && s.RestartCount == p.restarts
}

// place returns the pod's place for the project.
func (w *watcher) place(project string, pod *corev1.Pod) place {
	p := place{project: project, namespace: pod.Namespace, pod: pod.Name, uid: pod.UID}
	all, _ := w.settings.get()
	set, _ := all.of(project)
	p.container = containerOf(pod, set)
	p.workspace = orDefault(set.Workspace, pod.Annotations[WorkspaceAnnotation])
	p.shim = pod.Annotations[ShimAnnotation]
	p.volumes = volumesOf(pod, p.container, p.workspace)
	if s := containerStatus(pod, p.container); s != nil {
		p.containerID, p.restarts = s.ContainerID, s.RestartCount
	}
	return p
}

func containerOf(pod *corev1.Pod, set ProjectSettings) string {
	name := set.Container
	for _, key := range []string{ContainerAnnotation, defaultContainerAnnotation} {
		name = orDefault(name, pod.Annotations[key])
	}
	if name == "" && len(pod.Spec.Containers) > 0 {
		name = pod.Spec.Containers[0].Name
	}
	return name
}

// resolve returns the place that the target means. One with an Instance means
// that alone, whatever pods have come since.
func (w *watcher) resolve(target exec.Target) (place, error) {
	pods := w.byName(target.Name)
	if target.Instance != "" {
		uid, _, _ := strings.Cut(target.Instance, "/")
		pod := w.byUID(types.UID(uid))
		if pod == nil {
			return place{}, fmt.Errorf("%w: its pod is gone", exec.ErrLost)
		}
		p := w.place(target.Name, pod)
		if p.instance() != target.Instance {
			return place{}, fmt.Errorf("%w: its container in pod %s has ended%s", exec.ErrLost, pod.Name, colon(whyEnded(pod, p.container)))
		}
		if p.isAt(pod) { // being deleted, too: what runs there is still to be followed
			return p, nil
		}
		pods = []*corev1.Pod{pod}
	}
	if len(pods) == 0 {
		return place{}, fmt.Errorf("%w: no pod belongs to the project %q", exec.ErrTargetNotFound, target.Name)
	}
	all, _ := w.settings.get()
	set, _ := all.of(target.Name)
	pod := choose(pods, set)
	p := w.place(target.Name, pod)
	if status, detail := statusOf(pod, p.container); status != rdev.StatusRunning {
		return place{}, fmt.Errorf("%w: pod %s: %s", exec.ErrTargetNotReady, pod.Name, detail)
	}
	return p, nil
}

// choose picks the pod in which the project's commands run. It orders the pods
// in place: running ones first, then ready ones, then by the number in their
// StatefulSet, then the oldest, then by name. So a replacement that comes up
// beside its predecessor does not take over before that one goes.
func choose(pods []*corev1.Pod, set ProjectSettings) *corev1.Pod {
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(
			cmp.Compare(rank(a, set), rank(b, set)),
			cmp.Compare(ordinal(a), ordinal(b)),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return pods[0]
}

func rank(pod *corev1.Pod, set ProjectSettings) int {
	switch status, _ := statusOf(pod, containerOf(pod, set)); {
	case status == rdev.StatusRunning && isReady(pod):
		return 0
	case status == rdev.StatusRunning:
		return 1
	case status == rdev.StatusPending && pod.DeletionTimestamp == nil:
		return 2
	case status == rdev.StatusFailed:
		return 3
	}
	return 4
}

func ordinal(pod *corev1.Pod) int {
	n, err := strconv.Atoi(pod.Labels[podIndexLabel])
	if err != nil {
		return 1 << 30
	}
	return n
}
