package kube_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// patch changes the pod's metadata: pairs of JSON, as in `"labels":{"a":null}`.
func patch(t *testing.T, pod *corev1.Pod, metadata string) {
	t.Helper()
	pods := kubetest.Shared(t).Client().CoreV1().Pods(pod.Namespace)
	if _, err := pods.Patch(limited(t), pod.Name, types.MergePatchType, []byte(`{"metadata":{`+metadata+`}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// untilSaid is a command that says up, and ends with 5 when go appears.
func untilSaid(file string) []string {
	return []string{"sh", "-c", fmt.Sprintf("echo up; while [ ! -e /workspace/%s ]; do sleep 0.1; done; echo down; exit 5", file)}
}

func touch(t *testing.T, pod *corev1.Pod, file string) {
	t.Helper()
	if _, err := kubetest.Shared(t).Exec(limited(t), pod, "touch", "/workspace/"+file); err != nil {
		t.Fatal(err)
	}
}

// TestAPodThatLosesItsLabel: it is no project's any more, and a watch says of it
// what it says of a deleted one. What runs there is followed, and ends when it
// ends or is cancelled.
func TestAPodThatLosesItsLabel(t *testing.T) {
	for name, direct := range map[string]bool{"UnderTheShim": false, "InDirectMode": true} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			c := kubetest.Shared(t)
			namespace := c.Namespace(t)
			pod := runPod(t, namespace, "web", nil)
			x := newExecutor(t, namespace, func(o *kube.Options) { o.Direct = direct })
			target := awaitRunning(t, x, "web")
			follow := start(limited(t), x, target, untilSaid("go")...)
			const id = "in-a-stray"
			cancelled := make(chan error, 1)
			cmd := exec.Command{ID: id, Target: target, Argv: []string{"sh", "-c", "touch /workspace/second; sleep 600"}}
			go func() {
				r, err := x.Execute(limited(t), cmd, func([]exec.Line) error { return nil })
				if err == nil && r.Reason != exec.Canceled {
					err = fmt.Errorf("it was not cancelled: %+v", r)
				}
				cancelled <- err
			}()
			eventually(t, "both run", func() bool {
				out, err := c.Exec(t.Context(), pod, "ls", "/workspace/second")
				return err == nil && out.Code == 0 && follow.text() == "up\n"
			})
			before := processes(t, c, pod)

			patch(t, pod, fmt.Sprintf(`"labels":{%q:null}`, kube.ProjectLabel))
			eventually(t, "the project is gone", func() bool { return look(t, x, "web").Name == "" })
			fresh := start(limited(t), x, exec.Target{Name: "web"}, "true")
			fresh.wait(t)
			is.True(errors.Is(fresh.err, exec.ErrTargetNotFound))

			is.NoErr(x.Cancel(limited(t), target, id))
			is.NoErr(<-cancelled)
			left := strings.Join(processes(t, c, pod), "\n")
			is.True(!strings.Contains(left, "sleep 600")) // what Cancel says is true
			is.True(len(before) > strings.Count(left, "\n")+1)

			if !direct { // another process, which has never seen the pod
				second := newExecutor(t, namespace, nil)
				cmd := exec.Command{ID: "late", Target: target, Argv: untilSaid("go")}
				detached := func(x *kube.Executor) error {
					_, err := x.Execute(limited(t), cmd, func([]exec.Line) error { return exec.ErrDetached })
					return err
				}
				is.True(errors.Is(detached(x), exec.ErrDetached))
				is.True(errors.Is(detached(second), exec.ErrDetached))
				is.NoErr(second.Cancel(limited(t), target, cmd.ID))
				touch(t, pod, "go")
				r, err := second.Execute(limited(t), cmd, func([]exec.Line) error { return nil })
				is.NoErr(err)
				is.Equal(r.Reason, exec.Canceled)
			}
			touch(t, pod, "go")
			follow.wait(t)
			is.NoErr(follow.err)
			is.Equal(follow.text(), "up\ndown\n")
			is.Equal(follow.result.ExitCode, 5)

			// Only when it is deleted, too, is what runs there lost.
			last := start(limited(t), x, target, "sh", "-c", "echo up; sleep 600")
			eventually(t, "it runs", func() bool { return last.text() == "up\n" })
			is.NoErr(c.DeletePod(limited(t), namespace, pod.Name))
			last.wait(t)
			is.True(errors.Is(last.err, exec.ErrLost))
			is.True(strings.Contains(last.err.Error(), "was deleted"))
			is.NoErr(x.Cancel(context.Background(), target, "whatever"))
		})
	}
}

// TestSettingsOfARunningCommand: the container that a command runs in is the
// one that was chosen for it, whatever the settings say afterwards.
func TestSettingsOfARunningCommand(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", func(p *kubetest.Pod) {
		p.EmptyDirs = []string{"/workspace"}
		p.Mutate = func(pod *corev1.Pod) {
			other := pod.Spec.Containers[0].DeepCopy()
			other.Name = "other"
			pod.Spec.Containers = append(pod.Spec.Containers, *other)
		}
	})
	x := newExecutor(t, namespace, nil)
	old := awaitRunning(t, x, "web")
	cmd := exec.Command{ID: "stays", Target: old, Argv: untilSaid("go")}
	_, err := x.Execute(limited(t), cmd, func([]exec.Line) error { return exec.ErrDetached })
	is.True(errors.Is(err, exec.ErrDetached))

	patch(t, pod, fmt.Sprintf(`"annotations":{%q:"other"}`, kube.ContainerAnnotation))
	eventually(t, "new commands get the other container", func() bool { return awaitRunning(t, x, "web") != old })
	second := newExecutor(t, namespace, nil)
	cancelled := exec.Command{ID: "goes", Target: old, Argv: []string{"sh", "-c", "echo; sleep 600"}}
	_, err = x.Execute(limited(t), cancelled, func([]exec.Line) error { return exec.ErrDetached })
	is.True(errors.Is(err, exec.ErrDetached))
	is.NoErr(second.Cancel(limited(t), old, cancelled.ID))
	r, err := second.Execute(limited(t), cancelled, func([]exec.Line) error { return nil })
	is.NoErr(err)
	is.Equal(r.Reason, exec.Canceled)
	touch(t, pod, "go")
	for _, x := range []*kube.Executor{x, second} {
		r, err := x.Execute(limited(t), cmd, func([]exec.Line) error { return nil })
		is.NoErr(err)
		is.Equal(r.ExitCode, 5)
	}
}
