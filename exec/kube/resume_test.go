package kube

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// newProcess returns an Executor as a process of rdev has it, with a pod of the
// project web that is nowhere, and reaches the engine as its shim; with none, it
// runs commands in direct mode.
func newProcess(t *testing.T, e *shim.Engine, workspace string) *Executor {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-0", UID: "11", Labels: map[string]string{NameLabel: "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", ContainerID: "containerd://22", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}}},
	}
	w := &watcher{ctx: t.Context(), client: fake.NewClientset(pod).CoreV1(), pods: cache.NewSharedIndexInformer(&cache.ListWatch{}, &corev1.Pod{}, 0, cache.Indexers{byLabel: indexLabel, byUID: indexUID})}
	if err := w.pods.GetIndexer().Add(pod); err != nil {
		t.Fatal(err)
	}
	var options *Options
	x := &Executor{options: options.withDefaults(), watcher: w, supervisors: map[string]*supervisor{}, commands: map[string]*command{}}
	if x.options.Direct = e == nil; x.options.Direct {
		return x
	}
	ctx, stop := context.WithCancel(context.Background())
	server := shim.NewServer(e, nil)
	client, err := shim.NewClient(shim.ClientConfig{Dial: func(context.Context) (io.ReadWriteCloser, error) {
		mine, theirs := net.Pipe()
		go func() { _ = server.ServeConn(ctx, theirs) }()
		return mine, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); stop() })
	p := w.place("web", pod)
	s := &supervisor{x: x, place: p, ready: make(chan struct{}), client: client, at: placement{workspace: workspace}}
	close(s.ready)
	x.supervisors[p.instance()] = s
	return x
}

func TestResume(t *testing.T) {
	nothing := func([]exec.Line) error { return nil }
	mark := exec.Command{ID: "mark", Argv: []string{"sh", "-c", "echo ran >>effects"}, Resume: true}
	locate := func(is *is.I, x *Executor) exec.Target {
		is.Helper()
		target, err := x.Locate(t.Context(), "web")
		is.NoErr(err)
		return target
	}

	t.Run("UnderAShim", func(t *testing.T) {
		is := is.New(t)
		e, err := shim.Open(t.TempDir(), nil)
		is.NoErr(err)
		t.Cleanup(func() { is.NoErr(e.Close(context.Background())) })
		workspace := t.TempDir()
		first, second := newProcess(t, e, workspace), newProcess(t, e, workspace)
		effects := func() string {
			data, _ := os.ReadFile(filepath.Join(workspace, "effects"))
			return string(data)
		}

		// Located before the shim was reached, nobody can tell.
		cmd := mark
		cmd.Target = locate(is, first)
		is.Equal(cmd.Target.Instance, "11/containerd://22/0")
		_, err = second.Execute(t.Context(), cmd, nothing)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown))
		is.Equal(effects(), "")

		// After that, the shim can.
		warm := exec.Command{ID: "warm", Target: cmd.Target, Argv: []string{"true"}}
		_, err = first.Execute(t.Context(), warm, nothing)
		is.NoErr(err)
		cmd.Target = locate(is, first)
		is.True(strings.HasPrefix(cmd.Target.Instance, "11@"+e.Incarnation()+"/"))
		for range 2 {
			_, err = second.Execute(t.Context(), cmd, nothing)
			is.NoErr(err)
			is.Equal(effects(), "ran\n")
		}
		is.NoErr(e.Forget(cmd.ID))
		_, err = second.Execute(t.Context(), cmd, nothing)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown))
		is.Equal(effects(), "ran\n")

		// A new command does not care which shim there is now.
		cmd.ID, cmd.Resume = "new", false
		cmd.Target.Instance = strings.Replace(cmd.Target.Instance, e.Incarnation(), "another.folder", 1)
		_, err = first.Execute(t.Context(), cmd, nothing)
		is.NoErr(err)
		cmd.Target.Instance = strings.Replace(cmd.Target.Instance, "22", "33", 1)
		_, err = first.Execute(t.Context(), cmd, nothing)
		is.True(errors.Is(err, exec.ErrLost)) // but it does which run of the container
	})

	t.Run("WhatRunsIsCancelledThoughTheContextHasEnded", func(t *testing.T) {
		is := is.New(t)
		e, err := shim.Open(t.TempDir(), nil)
		is.NoErr(err)
		t.Cleanup(func() { is.NoErr(e.Close(context.Background())) })
		x := newProcess(t, e, t.TempDir())
		cmd := exec.Command{ID: "long", Target: locate(is, x), Argv: []string{"sh", "-c", "echo up; sleep 600"}}
		_, err = x.Execute(t.Context(), cmd, func([]exec.Line) error { return exec.ErrDetached })
		is.True(errors.Is(err, exec.ErrDetached))
		cmd.Resume = true
		ended, end := context.WithCancel(t.Context())
		end()
		result, err := x.Execute(ended, cmd, nothing)
		is.NoErr(err)
		is.Equal(result.Reason, exec.Canceled)
	})

	t.Run("WhatRanInAContainerThatHasEndedIsLost", func(t *testing.T) {
		is := is.New(t)
		e, err := shim.Open(t.TempDir(), nil)
		is.NoErr(err)
		t.Cleanup(func() { is.NoErr(e.Close(context.Background())) })
		x := newProcess(t, e, t.TempDir())
		cmd := mark
		cmd.Target = locate(is, x)
		pod := x.watcher.byUID("11").DeepCopy()
		pod.Status.Phase = corev1.PodFailed // it is not to be started again
		pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 4}}
		is.NoErr(x.watcher.pods.GetIndexer().Update(pod))
		_, err = x.Execute(t.Context(), cmd, nothing)
		is.True(errors.Is(err, exec.ErrLost))
		is.True(strings.Contains(err.Error(), "exit code 4"))
		is.NoErr(x.Cancel(t.Context(), cmd.Target, cmd.ID)) // with its container
	})

	t.Run("InDirectMode", func(t *testing.T) {
		is := is.New(t)
		x := newProcess(t, nil, "")
		cmd := mark
		cmd.Target = locate(is, x)
		_, err := x.Execute(t.Context(), cmd, nothing)
		is.True(errors.Is(err, exec.ErrOutcomeUnknown)) // also without a line
		cmd.After = 1
		_, err = x.Execute(t.Context(), cmd, nothing)
		is.True(errors.Is(err, exec.ErrLost))
		cmd.After, cmd.Target.Instance = 0, "11/containerd://33/0"
		_, err = x.Execute(t.Context(), cmd, nothing)
		is.True(errors.Is(err, exec.ErrLost)) // with its container
		is.True(strings.Contains(err.Error(), "has ended"))
	})
}
