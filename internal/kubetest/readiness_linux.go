package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// patience is how long a part may take to answer. It is a lot, because tests of
// a whole module run at once on few cores.
const patience = 3 * time.Minute

// readiness asks parts whether they are there.
type readiness struct {
	o      *own
	c      *Cluster
	client *http.Client // with the cluster's certificates
}

func newReadiness(o *own, c *Cluster) (readiness, error) {
	config := c.RESTConfig()
	config.Timeout = 5 * time.Second
	client, err := rest.HTTPClientFor(config)
	return readiness{o: o, c: c, client: client}, err
}

// wait returns when the part answers; if ctx ends first, with its cause.
func (r readiness) wait(ctx context.Context, p Part) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return poll(ctx, func() error {
		switch p {
		case Etcd:
			_, err := r.get(ctx, r.o.url("http", etcdPort)+"/health", `"true"`)
			return err
		case APIServer:
			_, err := r.get(ctx, r.o.url("https", apiserverPort)+"/readyz", "ok")
			return err
		case Containerd:
			return r.containerd(ctx)
		case Kubelet:
			return r.kubelet(ctx)
		case ControllerManager:
			_, err := r.get(ctx, r.o.url("https", controllerManagerPort)+"/healthz", "ok")
			return err
		case Scheduler:
			_, err := r.get(ctx, r.o.url("https", schedulerPort)+"/readyz", "ok")
			return err
		}
		return fmt.Errorf("no part %q", p)
	})
}

// containerd wants more than that it answers: its CRI side, which is the one that
// kubelets use, starts later, and a kubelet waits a little before it connects
// again. So the kubelet is asked for something that it must ask containerd for;
// at the very first start it is the kubelet's own readiness that tells.
func (r readiness) containerd(ctx context.Context) error {
	if _, err := r.o.ctr(ctx, "version"); err != nil {
		return err
	}
	if r.o.signal(Kubelet, 0) != nil {
		return nil // there is no kubelet
	}
	_, err := r.get(ctx, r.o.url("https", kubeletPort)+"/stats/summary?only_cpu_and_memory=true", "nodeName")
	return err
}

// kubelet wants all of it: the kubelet is healthy, knows the pods that it is to
// run (until it does, exec says that there is no such pod), and has told the
// server that the node is ready.
func (r readiness) kubelet(ctx context.Context) error {
	if _, err := r.get(ctx, r.o.url("http", kubeletHealthPort)+"/healthz", "ok"); err != nil {
		return err
	}
	known, err := r.get(ctx, r.o.url("https", kubeletPort)+"/pods", "PodList")
	if err != nil {
		return err
	}
	pods, err := r.c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		if p.Spec.NodeName == nodeName && p.Status.Phase == corev1.PodRunning && !strings.Contains(known, string(p.UID)) {
			return fmt.Errorf("the kubelet does not know pod %s/%s yet", p.Namespace, p.Name)
		}
	}
	n, err := r.c.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("node not ready: %s", condition.Message)
		}
	}
	return errors.New("node has no condition Ready")
}

// get returns the body of an answer that has status 200 and contains want.
func (r readiness) get(ctx context.Context, url, want string) (body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
		return "", fmt.Errorf("%s: %s: %s", url, res.Status, lastLines(string(b), 3))
	}
	return string(b), nil
}
