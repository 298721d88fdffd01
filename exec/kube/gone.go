package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// look returns the pod of the place, and nil if that is gone. watched says that
// the watch tells of it, so that a change is not missed.
func (w *watcher) look(ctx context.Context, p place) (pod *corev1.Pod, watched bool, err error) {
	if pod := w.byUID(p.uid); pod != nil && !p.isNewerThan(pod) {
		return pod, true, nil
	}
	pod, err = w.ask(ctx, p.uid, p.isAt)
	return pod, false, err
}

// isGone reports whether the place is certainly gone, and why.
func (w *watcher) isGone(p place) (why string, gone bool) {
	pod, _, err := w.look(w.ctx, p)
	if err != nil {
		return "", false
	}
	return p.goneFrom(pod)
}

// awaitGone waits until the place is gone, and says why, or until ctx ends.
func (w *watcher) awaitGone(ctx context.Context, p place) (why string, gone bool) {
	for {
		changed := w.next()
		pod, watched, err := w.look(ctx, p)
		if err == nil {
			if why, gone := p.goneFrom(pod); gone {
				return why, true
			}
		}
		var again <-chan time.Time
		if !watched {
			again = time.After(strayPause)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return "", false
		}
	}
}

// goneFrom reports whether the place is gone, and why, if its pod is this one.
func (p place) goneFrom(pod *corev1.Pod) (why string, gone bool) {
	switch {
	case p.isAt(pod):
		return "", false
	case pod == nil || pod.DeletionTimestamp != nil && pod.Status.Reason == "":
		return fmt.Sprintf("the pod %s was deleted", p.pod), true
	}
	return fmt.Sprintf("the container %s of pod %s has ended%s", p.container, p.pod, colon(whyEnded(pod, p.container))), true
}

// isNewerThan reports whether the pod, as the watch has told of it, may be that
// of a time before the place: another process may have seen it first.
func (p place) isNewerThan(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return false
	}
	s := containerStatus(pod, p.container)
	return s == nil || s.RestartCount < p.restarts || s.RestartCount == p.restarts && s.ContainerID == ""
}
