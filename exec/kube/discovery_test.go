package kube_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/internal/kubetest"
	"github.com/orchard9/rdev/rdev"
)

// look returns the project, or one without a name if there is none.
func look(t *testing.T, x *kube.Executor, name string) rdev.Project {
	t.Helper()
	p, err := x.Projects().Get(t.Context(), name)
	if err != nil {
		return rdev.Project{}
	}
	return p
}

func TestDiscovery(t *testing.T) {
	c := kubetest.Shared(t)
	t.Run("APodThatComesAndGoesIsSeenWithinASecond", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		x := newExecutor(t, namespace, nil)
		list, err := x.Projects().List(t.Context())
		is.NoErr(err)
		is.Equal(len(list), 0)

		pod := runPod(t, namespace, "web", func(p *kubetest.Pod) {
			p.Annotations[kube.DescriptionAnnotation] = "The web shop, in Ürümqi"
		})
		// RunPod has seen it run; now it is the watch's turn.
		seen := time.Now()
		eventually(t, "the project runs", func() bool { return look(t, x, "web").Status == rdev.StatusRunning })
		is.True(time.Since(seen) < time.Second)
		is.Equal(look(t, x, "web").Description, "The web shop, in Ürümqi")
		is.Equal(look(t, x, "web").Detail, "")
		list, err = x.Projects().List(t.Context())
		is.NoErr(err)
		is.Equal(len(list), 1)

		is.NoErr(c.DeletePod(limited(t), namespace, pod.Name))
		gone := time.Now()
		eventually(t, "the project is gone", func() bool { return look(t, x, "web").Name == "" })
		is.True(time.Since(gone) < time.Second)
	})
	t.Run("SeveralPodsOfOneProjectResolveToTheOldest", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		first := runPod(t, namespace, "web", nil)
		time.Sleep(time.Until(first.CreationTimestamp.Add(time.Second))) // it has whole seconds
		second := runPod(t, namespace, "web", nil)
		x := newExecutor(t, namespace, nil)
		target := awaitRunning(t, x, "web")
		is.True(strings.HasPrefix(target.Instance, string(first.UID)))
		detail := look(t, x, "web").Detail
		is.True(strings.Contains(detail, "commands run in "+first.Name+", not in "+second.Name))

		is.NoErr(c.DeletePod(limited(t), namespace, first.Name))
		eventually(t, "the second takes over", func() bool {
			target, err := x.Locate(t.Context(), "web")
			return err == nil && strings.HasPrefix(target.Instance, string(second.UID))
		})
		is.Equal(look(t, x, "web").Detail, "")
	})
	t.Run("ABrokenPodSaysWhy", func(t *testing.T) {
		namespace := c.Namespace(t)
		x := newExecutor(t, namespace, nil)
		broken := projectPod(namespace, "web")
		broken.Command = []string{"/no/such/program"}
		go func() { _, _ = c.CreatePod(t.Context(), broken) }() // it never runs
		eventually(t, "the project has failed", func() bool {
			p := look(t, x, "web")
			return p.Status == rdev.StatusFailed && strings.Contains(p.Detail, "/no/such/program")
		})
	})
}

func TestSettings(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	runPod(t, namespace, "web", func(p *kubetest.Pod) { p.Annotations[kube.DescriptionAnnotation] = "from the pod" })
	x := newExecutor(t, namespace, nil)
	awaitRunning(t, x, "web")
	is.Equal(look(t, x, "web").Description, "from the pod")

	maps := c.Client().CoreV1().ConfigMaps(namespace)
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.SettingsName}}
	config.Data = map[string]string{kube.SettingsKey: "web:\n  description: from the map\nlater:\n  description: not there yet\n"}
	config, err := maps.Create(limited(t), config, metav1.CreateOptions{})
	is.NoErr(err)
	eventually(t, "the settings count", func() bool { return look(t, x, "web").Description == "from the map" })
	later := look(t, x, "later")
	is.Equal(later.Status, rdev.StatusNotFound)
	is.Equal(later.Description, "not there yet")

	config.Data[kube.SettingsKey] = "web:\n  descriptoin: a slip\n"
	config, err = maps.Update(limited(t), config, metav1.UpdateOptions{})
	is.NoErr(err)
	eventually(t, "the error is shown", func() bool { return strings.Contains(look(t, x, "web").Detail, "descriptoin") })
	is.Equal(look(t, x, "web").Description, "from the map") // the last good settings
	is.Equal(look(t, x, "web").Status, rdev.StatusRunning)

	config.Data[kube.SettingsKey] = `
web:
  name: shop
  description: mended
  workspace: /tmp
  policy: strict
  limits: {commands: 4, commands_per_key: 2, timeout: 30m, output: 64Mi}
`
	config, err = maps.Update(limited(t), config, metav1.UpdateOptions{})
	is.NoErr(err)
	eventually(t, "the project has its other name", func() bool { return look(t, x, "shop").Description == "mended" })
	shop := look(t, x, "shop")
	is.Equal(shop.Detail, "") // the error is gone
	is.Equal(shop.Status, rdev.StatusRunning)
	is.Equal(shop.Policy, policy.Strict)
	is.Equal(shop.Limits, rdev.Limits{Commands: 4, CommandsPerKey: 2, Timeout: 30 * time.Minute, Output: 64 << 20})
	is.Equal(look(t, x, "web").Name, "")
	list, err := x.Projects().List(t.Context())
	is.NoErr(err)
	is.Equal(len(list), 1)
	r := start(limited(t), x, awaitRunning(t, x, "shop"), "pwd")
	r.wait(t)
	is.NoErr(r.err)
	is.Equal(r.text(), "/tmp\n")

	config.Data[kube.SettingsKey] = "web:\n  policy: lax\n"
	_, err = maps.Update(limited(t), config, metav1.UpdateOptions{})
	is.NoErr(err)
	eventually(t, "the error is shown under the name that holds", func() bool { return strings.Contains(look(t, x, "shop").Detail, `"lax"`) })
	is.Equal(look(t, x, "shop").Policy, policy.Strict)

	is.NoErr(maps.Delete(limited(t), kube.SettingsName, metav1.DeleteOptions{}))
	eventually(t, "the pod's own word counts again", func() bool {
		p := look(t, x, "web")
		return p.Description == "from the pod" && p.Policy == "" && p.Detail == ""
	})
	is.Equal(look(t, x, "later").Name, "")
	is.Equal(look(t, x, "shop").Name, "")
}

// TestStartWaitsForSettings: there is no moment in which a project has another
// policy, or commands get another container, than the settings say.
func TestStartWaitsForSettings(t *testing.T) {
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	runPod(t, namespace, "web", func(p *kubetest.Pod) {
		p.Mutate = func(pod *corev1.Pod) {
			other := pod.Spec.Containers[0].DeepCopy()
			other.Name = "other"
			pod.Spec.Containers = append(pod.Spec.Containers, *other)
		}
	})
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.SettingsName}}
	config.Data = map[string]string{kube.SettingsKey: "web: {policy: strict, container: other}"}
	_, err := c.Client().CoreV1().ConfigMaps(namespace).Create(limited(t), config, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	settled := newExecutor(t, namespace, nil)
	other := awaitRunning(t, settled, "web")
	aboutSettings := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/configmaps") }
	t.Run("ThatComeLate", func(t *testing.T) {
		is := is.New(t)
		front := newFront(t, nil)
		front.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if aboutSettings(r) {
				time.Sleep(time.Second)
			}
			return false
		}
		x := front.open(t, namespace)
		is.Equal(look(t, x, "web").Policy, policy.Strict)
		target, err := x.Locate(t.Context(), "web")
		is.NoErr(err)
		is.Equal(target, other)
	})
	t.Run("AndRefusesToDoWithout", func(t *testing.T) {
		is := is.New(t)
		front := newFront(t, nil)
		front.before = func(w http.ResponseWriter, r *http.Request) bool {
			if aboutSettings(r) {
				http.Error(w, "out of order", http.StatusInternalServerError)
			}
			return aboutSettings(r)
		}
		_, err := kube.New(front.config, &kube.Options{Namespace: namespace, SyncTimeout: 2 * time.Second})
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "ConfigMap rdev-config could not be read within 2s"))
		is.True(strings.Contains(err.Error(), "out of order")) // the reason
		is.True(strings.Contains(err.Error(), "start again"))  // and what to do
	})
}
