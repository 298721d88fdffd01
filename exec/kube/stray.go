package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
)

const (
	// strayPause is how long the API server's word that a stray pod lives holds.
	strayPause = 2 * time.Second
	// maxStrays is how many of them are remembered; the oldest go first.
	maxStrays = 1024
	// metadataPage is how many pods are listed at once when one is looked for.
	metadataPage = 500
)

// A stray is a pod that the watch does not tell of. It was deleted, or it has
// lost the label that the watch selects pods by: a watch says the same of both.
// In the second case the pod lives, and with it what runs there, so that only
// the API server's answer about the pod itself says that it is gone.
type stray struct {
	mu    sync.Mutex // held while the API server is asked: once for all who want to know
	name  string     // empty: not known
	pod   *corev1.Pod
	asked time.Time
	gone  bool // for good: a UID does not come again
}

// strays are the ones that were asked for, and those that left the watch.
type strays struct {
	mu    sync.Mutex
	byUID map[types.UID]*stray
	order []types.UID // the oldest first
}

// of returns the stray with that UID. The name is remembered if there is one.
func (s *strays) of(uid types.UID, name string) *stray {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byUID[uid]
	if found == nil {
		if len(s.order) >= maxStrays {
			delete(s.byUID, s.order[0])
			s.order = append(s.order[:0], s.order[1:]...)
		}
		if s.byUID == nil {
			s.byUID = make(map[types.UID]*stray)
		}
		found = &stray{name: name}
		s.byUID[uid] = found
		s.order = append(s.order, uid)
	}
	return found
}

// left remembers the name of a pod that the watch tells of no more.
func (s *strays) left(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if pod, ok := object.(*corev1.Pod); ok {
		s.of(pod.UID, pod.Name)
	}
}

// ask returns the pod with that UID as the API server has it, and nil if there
// is none. What it said a moment ago is good enough if enough says so of that.
// An error says nothing about the pod.
func (w *watcher) ask(ctx context.Context, uid types.UID, enough func(*corev1.Pod) bool) (*corev1.Pod, error) {
	began, name := time.Now(), ""
	if pod := w.byUID(uid); pod != nil {
		name = pod.Name
	}
	s := w.strays.of(uid, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.asked.After(began) || time.Since(s.asked) < strayPause && enough(s.pod) {
		return s.pod, nil
	}
	ctx, cancel := context.WithTimeout(quiet(ctx), confirmWait)
	defer cancel()
	asked := time.Now()
	pod, err := w.fetch(ctx, s, uid)
	if err != nil {
		return nil, fmt.Errorf("the API server does not say whether the pod is still there: %w", err)
	}
	s.pod, s.asked, s.gone = pod, asked, pod == nil
	return pod, nil
}

func (w *watcher) fetch(ctx context.Context, s *stray, uid types.UID) (*corev1.Pod, error) {
	if s.name == "" {
		name, err := w.nameOf(ctx, uid)
		if name == "" || err != nil {
			return nil, err
		}
		s.name = name
	}
	pod, err := w.client.Pods(w.namespace).Get(ctx, s.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case pod.UID != uid: // another one of that name
		return nil, nil
	}
	kept, err := stripPod(pod)
	return kept.(*corev1.Pod), err
}

// nameOf returns the name of the pod with that UID, or nothing. The pod may be
// one that this process has never seen: it lost its label before. The API server
// selects by no UID, so that the metadata of all pods are looked through.
func (w *watcher) nameOf(ctx context.Context, uid types.UID) (string, error) {
	for page := ""; ; {
		answer, err := w.client.RESTClient().Get().Namespace(w.namespace).Resource("pods").
			SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json").
			VersionedParams(&metav1.ListOptions{Limit: metadataPage, Continue: page}, scheme.ParameterCodec).
			DoRaw(ctx)
		if err != nil {
			return "", err
		}
		var list metav1.PartialObjectMetadataList
		if err := json.Unmarshal(answer, &list); err != nil {
			return "", fmt.Errorf("list pods: %w", err)
		}
		for i := range list.Items {
			if list.Items[i].UID == uid {
				return list.Items[i].Name, nil
			}
		}
		if page = list.Continue; page == "" {
			return "", nil
		}
	}
}
