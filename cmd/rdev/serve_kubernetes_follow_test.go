package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/server/client"
)

// testFollowPods measures the time from when another informer of the same API
// server is told of a change to when GET /projects shows it. A machine under
// load may be late now and then, so it has three attempts at each.
func testFollowPods(t *testing.T, s *podServer) {
	is := is.New(t)
	var mu sync.Mutex
	told := map[string]time.Time{}
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		if told[what].IsZero() {
			told[what] = time.Now()
		}
	}
	state := func(object any) {
		pod := object.(*corev1.Pod)
		name := pod.Labels[kube.NameLabel]
		note(name + " is there")
		if len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].State.Running != nil {
			note(name + " runs")
		}
	}
	informer := cache.NewSharedIndexInformer(cache.NewListWatchFromClient(s.cluster.Client().CoreV1().RESTClient(), "pods", s.namespace, fields.Everything()), &corev1.Pod{}, 0, nil)
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    state,
		UpdateFunc: func(_, now any) { state(now) },
		DeleteFunc: func(object any) {
			if pod, ok := object.(*corev1.Pod); ok {
				note(pod.Labels[kube.NameLabel] + " is gone")
			}
		},
	})
	is.NoErr(err)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { informer.RunWithContext(ctx) })
	defer work.Wait()
	defer stop()
	is.True(cache.WaitForCacheSync(ctx.Done(), informer.HasSynced))

	lag := map[string]time.Duration{}
	// shown waits until GET /projects shows the change, and keeps how late.
	shown := func(project, what string, ok func(p client.Project) bool) {
		t.Helper()
		s.until(project+" "+what, func() bool {
			all, err := s.client.Projects(limited(t))
			is.NoErr(err)
			for _, p := range all {
				if p.Name == project {
					return ok(p)
				}
			}
			return ok(client.Project{})
		})
		now := time.Now()
		s.until(project+" "+what+" is told", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return !told[project+" "+what].IsZero()
		})
		late := max(now.Sub(told[project+" "+what]), 0)
		t.Logf("%s %s: shown %v after it was told", project, what, late)
		if best, ok := lag[what]; !ok || late < best {
			lag[what] = late
		}
	}
	for _, project := range []string{"one", "two", "three"} {
		pod := s.pod(t, project, corev1.PodSpec{NodeName: "localhost", HostNetwork: true, Containers: []corev1.Container{container("main")}})
		shown(project, "is there", func(p client.Project) bool { return p.Name != "" })
		shown(project, "runs", func(p client.Project) bool { return p.Status == "running" })
		now := int64(0)
		is.NoErr(s.cluster.Client().CoreV1().Pods(s.namespace).Delete(limited(t), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
		shown(project, "is gone", func(p client.Project) bool { return p.Name == "" })
	}
	for what, late := range lag {
		if late >= time.Second {
			t.Errorf("that a pod %s is shown after %v at best", what, late)
		}
	}
}
