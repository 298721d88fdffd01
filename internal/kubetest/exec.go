package kubetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
)

// Output is what a program in a pod wrote, and its exit code.
type Output struct {
	Stdout, Stderr []byte
	Code           int
}

// Exec runs a program in the pod's container with one fresh client-go exec, and
// waits for its end. A code other than 0 is no error. It has every weakness of
// exec and is for looking into pods, and for comparison.
func (c *Cluster) Exec(ctx context.Context, pod *corev1.Pod, argv ...string) (Output, error) {
	url := c.client.CoreV1().RESTClient().Post().Resource("pods").
		Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: pod.Spec.Containers[0].Name, Command: argv, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec).URL()
	e, err := remotecommand.NewWebSocketExecutor(c.config, "GET", url.String())
	if err != nil {
		return Output{}, fmt.Errorf("kubetest: exec: %w", err)
	}
	var stdout, stderr bytes.Buffer
	err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	out := Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	var exit utilexec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		out.Code = exit.ExitStatus()
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("kubetest: exec %q in %s/%s: %w", argv, pod.Namespace, pod.Name, err)
	}
	return out, nil
}
