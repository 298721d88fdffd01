package kube

import (
	"cmp"
	"context"
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

// instance names the place: it changes when the pod is replaced, under the same
// name too, and when the container restarts.
func (p place) instance() string {
	return fmt.Sprintf("%s/%s/%d", p.uid, p.containerID, p.restarts)
}

// withShim is what Locate tells: the instance of a place, and the incarnation of
// its shim if that is known. See exec.Command.Resume for what that is for.
func withShim(instance, incarnation string) string {
	if incarnation == "" {
		return instance
	}
	uid, rest, _ := strings.Cut(instance, "/")
	return uid + "@" + incarnation + "/" + rest
}

// splitInstance takes apart what withShim has put together.
func splitInstance(target string) (instance, incarnation string) {
	head, rest, _ := strings.Cut(target, "/")
	uid, incarnation, _ := strings.Cut(head, "@")
	return uid + "/" + rest, incarnation
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

// place returns the pod's place for what the project runs anew.
func (w *watcher) place(project string, pod *corev1.Pod) place {
	all, _ := w.settings.get()
	set, _ := all.of(project)
	return w.placeIn(project, pod, containerOf(pod, set))
}

// placeIn returns the place of the container as it is now.
func (w *watcher) placeIn(project string, pod *corev1.Pod, container string) place {
	p := place{project: project, namespace: pod.Namespace, pod: pod.Name, uid: pod.UID, container: container}
	all, _ := w.settings.get()
	set, _ := all.of(project)
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
// that alone, whatever pods have come since and whatever the settings say now.
func (w *watcher) resolve(ctx context.Context, target exec.Target) (place, error) {
	if target.Instance != "" {
		target.Instance, _ = splitInstance(target.Instance)
		return w.resolveInstance(ctx, target)
	}
	pods := w.byName(target.Name)
	if len(pods) == 0 {
		return place{}, fmt.Errorf("%w: no pod belongs to the project %q", exec.ErrTargetNotFound, target.Name)
	}
	all, _ := w.settings.get()
	set, _ := all.of(target.Name)
	pod := choose(pods, set)
	p := w.place(target.Name, pod)
	return p, runsNothing(pod, p.container)
}

// resolveInstance says exec.ErrLost only if it is certain. What the watch does
// not know of may be there: see stray.
func (w *watcher) resolveInstance(ctx context.Context, target exec.Target) (place, error) {
	i := parseInstance(target.Instance)
	pod := w.byUID(i.uid)
	s := i.statusIn(pod)
	if s == nil {
		var err error
		if pod, err = w.ask(ctx, i.uid, func(pod *corev1.Pod) bool { return i.statusIn(pod) != nil }); err != nil {
			return place{}, &failure{cause: exec.ErrNotStarted, text: err.Error(), err: err}
		}
		s = i.statusIn(pod)
	}
	switch {
	case pod == nil:
		return place{}, fmt.Errorf("%w: its pod is gone", exec.ErrLost)
	case s == nil || s.State.Running == nil && i.hasEnded(s):
		container := "" // of the pod alone
		if s := i.lastIn(pod); s != nil {
			container = s.Name
		}
		return place{}, fmt.Errorf("%w: its container in pod %s has ended%s", exec.ErrLost, pod.Name, colon(whyEnded(pod, container)))
	case s.State.Running != nil: // being deleted, too: what runs there is still to be followed
		return w.placeIn(target.Name, pod, s.Name), nil
	}
	return place{}, runsNothing(pod, s.Name)
}

// runsNothing is the error for a pod whose container runs no commands now.
func runsNothing(pod *corev1.Pod, container string) error {
	if status, detail := statusOf(pod, container); status != rdev.StatusRunning {
		return fmt.Errorf("%w: pod %s: %s", exec.ErrTargetNotReady, pod.Name, detail)
	}
	return nil
}

// An instance is what place.instance tells, taken apart.
type instance struct {
	uid         types.UID
	containerID string
	restarts    string
}

func parseInstance(text string) instance {
	uid, rest, _ := strings.Cut(text, "/")
	i := max(strings.LastIndexByte(rest, '/'), 0)
	return instance{uid: types.UID(uid), containerID: rest[:i], restarts: strings.TrimPrefix(rest[i:], "/")}
}

// statusIn returns the status of the container that this is, or nil.
func (i instance) statusIn(pod *corev1.Pod) *corev1.ContainerStatus {
	return findStatus(pod, func(s *corev1.ContainerStatus) bool {
		return s.ContainerID == i.containerID && strconv.Itoa(int(s.RestartCount)) == i.restarts
	})
}

// lastIn returns the status of the container that has been this, or nil.
func (i instance) lastIn(pod *corev1.Pod) *corev1.ContainerStatus {
	return findStatus(pod, func(s *corev1.ContainerStatus) bool {
		return s.ContainerID == i.containerID || i.hasEnded(s)
	})
}

// hasEnded reports whether the status says that it has.
func (i instance) hasEnded(s *corev1.ContainerStatus) bool {
	now, last := s.State.Terminated, s.LastTerminationState.Terminated
	return now != nil && s.ContainerID == i.containerID || last != nil && last.ContainerID == i.containerID
}

func findStatus(pod *corev1.Pod, is func(*corev1.ContainerStatus) bool) *corev1.ContainerStatus {
	if pod == nil {
		return nil
	}
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; is(s) {
			return s
		}
	}
	return nil
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
