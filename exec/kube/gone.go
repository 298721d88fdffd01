package kube

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// awaitGone waits until the place is gone, and says why, or until ctx ends.
func (w *watcher) awaitGone(ctx context.Context, p place) (why string, gone bool) {
	for {
		changed := w.next()
		if pod := w.byUID(types.UID(p.uid)); !p.isAt(pod) {
			switch {
			case pod == nil || pod.DeletionTimestamp != nil && pod.Status.Reason == "":
				return fmt.Sprintf("the pod %s was deleted", p.pod), true
			default:
				return fmt.Sprintf("the container %s of pod %s has ended%s", p.container, p.pod, colon(whyEnded(pod, p.container))), true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", false
		}
	}
}
