package deploytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/orchard9/rdev/internal/helmtest"
	"github.com/orchard9/rdev/internal/kubetest"
	"github.com/orchard9/rdev/internal/pgtest"
)

// patience is for all that is waited for, on a loaded machine.
const patience = 5 * time.Minute

// An installation is rdev in a cluster, made by the chart.
type installation struct {
	t         *testing.T
	cluster   *kubetest.Cluster
	namespace string
	admin     string // the admin key
}

// install does what somebody does who installs rdev: an image, a namespace that
// takes restricted pods alone, a Secret, a project, and the chart.
func install(t *testing.T) *installation {
	t.Helper()
	c := kubetest.Shared(t)
	if c.External() {
		t.Skip("another cluster has no way to the Postgres of this test, and this test none to its pods")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, c.StartControllers(ctx))
	const repository = "rdev.invalid/rdev"
	must(t, c.Build(ctx, imageOfDockerfile(t, repository+":test")))

	in := &installation{t: t, cluster: c, namespace: restrictedNamespace(t, c), admin: rand.Text() + rand.Text()}
	_, err := c.Client().CoreV1().Secrets(in.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "rdev"},
		StringData: map[string]string{"admin-key": in.admin, "database-url": databaseFor(t, c)},
	}, metav1.CreateOptions{})
	must(t, err)

	project, err := os.ReadFile(filepath.Join(root, "deploy", "kubernetes", "claudebox.yaml"))
	must(t, err)
	in.apply(strings.ReplaceAll(string(project), "claudebox:latest", c.Reference(kubetest.Busybox)))

	in.apply(helmtest.Template(t, "--set", "image.repository="+repository+",image.tag=test,image.pullPolicy=Never"))
	_, err = c.WaitRunning(ctx, in.namespace, "claudebox")
	must(t, err)
	in.available()
	return in
}

// restrictedNamespace makes a namespace that takes no pod with rights that it does
// not need.
func restrictedNamespace(t *testing.T, c *kubetest.Cluster) string {
	t.Helper()
	name := c.Namespace(t)
	level := `{"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}}`
	_, err := c.Client().CoreV1().Namespaces().Patch(t.Context(), name, types.MergePatchType, []byte(level), metav1.PatchOptions{})
	must(t, err)
	return name
}

// databaseFor is the address by which pods reach a new database.
func databaseFor(t *testing.T, c *kubetest.Cluster) string {
	t.Helper()
	address, err := url.Parse(pgtest.New(t, nil))
	must(t, err)
	address.Host = c.Expose(t, address.Host)
	return address.String()
}

// apply applies manifests, first without effect. Both times the API server is
// strict about fields.
func (in *installation) apply(manifests string) {
	in.t.Helper()
	for _, how := range []string{"--dry-run=server", "--dry-run=none"} {
		out, err := in.kubectl(manifests, "apply", "--validate=strict", how, "--filename=-")
		if err != nil || strings.Contains(strings.ToLower(out), "warning") {
			in.t.Fatalf("kubectl apply %s: %v\n%s", how, err, out)
		}
	}
}

func (in *installation) kubectl(stdin string, args ...string) (string, error) {
	in.t.Helper()
	cmd := exec.CommandContext(in.t.Context(), in.cluster.Kubectl(),
		append([]string{"--kubeconfig", in.cluster.Kubeconfig(), "--namespace", in.namespace}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// available waits until the Deployment has all its replicas, and no others.
func (in *installation) available() {
	in.t.Helper()
	in.eventually("the Deployment is available", func() bool {
		d, err := in.cluster.Client().AppsV1().Deployments(in.namespace).Get(in.t.Context(), "rdev", metav1.GetOptions{})
		must(in.t, err)
		return complete(d) && len(in.pods()) == int(*d.Spec.Replicas)
	})
}

func complete(d *appsv1.Deployment) bool {
	want := *d.Spec.Replicas
	s := d.Status
	return s.ObservedGeneration == d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want
}

// pods are those of rdev.
func (in *installation) pods() []corev1.Pod {
	in.t.Helper()
	list, err := in.cluster.Client().CoreV1().Pods(in.namespace).List(in.t.Context(),
		metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=rdev"})
	must(in.t, err)
	return list.Items
}

// eventually waits for what will come true. If it does not, the test's log has
// what there is to see in the cluster.
func (in *installation) eventually(what string, true func() bool) {
	in.t.Helper()
	for deadline := time.Now().Add(patience); !true(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			var seen bytes.Buffer
			for _, args := range [][]string{
				{"get", "all", "-o", "wide"}, {"get", "events"}, {"describe", "pods"},
				{"logs", "--prefix", "--tail=40", "--selector=app.kubernetes.io/name=rdev"},
			} {
				out, _ := in.kubectl("", args...)
				seen.WriteString(out)
			}
			in.t.Fatalf("it did not come true that %s\n%s", what, seen.String())
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
