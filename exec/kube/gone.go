package kube

import (
	"context"
	"fmt"
)

// isGone reports whether the place is gone, and why.
func (w *watcher) isGone(p place) (why string, gone bool) {
	pod := w.byUID(p.uid)
	switch {
	case p.isAt(pod):
		return "", false
	case pod == nil || pod.DeletionTimestamp != nil && pod.Status.Reason == "":
		return fmt.Sprintf("the pod %s was deleted", p.pod), true
	}
	return fmt.Sprintf("the container %s of pod %s has ended%s", p.container, p.pod, colon(whyEnded(pod, p.container))), true
}

// awaitGone waits until the place is gone, and says why, or until ctx ends.
func (w *watcher) awaitGone(ctx context.Context, p place) (why string, gone bool) {
	for {
		changed := w.next()
		if why, gone := w.isGone(p); gone {
			return why, true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", false
		}
	}
}
