package kube_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// manifest reads the document of that kind from a file of deploy/kubernetes.
func manifest(t *testing.T, file, kind string, into any) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/" + file)
	if err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if err != nil {
			t.Fatalf("%s has no %s: %v", file, kind, err)
		}
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal(document, &meta); err != nil {
			t.Fatal(err)
		}
		if meta.Kind == kind {
			if err := yaml.UnmarshalStrict(document, into); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

// as returns a configuration for somebody who has the committed Role, after
// change, and nothing else.
func as(t *testing.T, namespace, user string, change func(*rbacv1.Role)) *rest.Config {
	t.Helper()
	c := kubetest.Shared(t)
	var role rbacv1.Role
	manifest(t, "role.yaml", "Role", &role)
	role.Name = user
	if change != nil {
		change(&role)
	}
	rbac := c.Client().RbacV1()
	if _, err := rbac.Roles(namespace).Create(limited(t), &role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := rbac.RoleBindings(namespace).Create(limited(t), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg := c.RESTConfig()
	cfg.Impersonate.UserName = user
	// The server's authorizer learns of the Role by a watch of its own.
	probe := role.Rules[0].Verbs[0] + " " + role.Rules[0].Resources[0]
	eventually(t, "the role counts", func() bool { return !slices.Contains(missing(t, cfg, namespace), probe) })
	return cfg
}

// missing returns the rights that rdev needs and the user does not have.
func missing(t *testing.T, cfg *rest.Config, namespace string) []string {
	t.Helper()
	rights, err := kube.Rights(limited(t), cfg, namespace)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rights {
		if !r.Allowed {
			names = append(names, r.String())
		}
	}
	return names
}

// withoutExec takes a verb on pods/exec out of the Role.
func withoutExec(verb string) func(*rbacv1.Role) {
	return func(role *rbacv1.Role) {
		for i := range role.Rules {
			rule := &role.Rules[i]
			if slices.Contains(rule.Resources, "pods/exec") {
				rule.Verbs = slices.DeleteFunc(rule.Verbs, func(v string) bool { return v == verb })
			}
		}
	}
}

func TestAccess(t *testing.T) {
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	var pod corev1.Pod
	manifest(t, "claudebox.yaml", "Pod", &pod)
	user := *pod.Spec.SecurityContext.RunAsUser
	c.RunPod(t, kubetest.Pod{Namespace: namespace, Labels: pod.Labels, User: &user, EmptyDirs: []string{"/var/lib/rdev"}, Mutate: func(p *corev1.Pod) {
		p.Annotations = map[string]string{}
		for key, value := range pod.Annotations {
			p.Annotations[key] = value
		}
		p.Spec.Containers[0].Name = pod.Spec.Containers[0].Name
		p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: pod.Spec.SecurityContext.FSGroup}
	}})
	open := func(t *testing.T, cfg *rest.Config) *kube.Executor {
		x, err := kube.New(cfg, &kube.Options{Namespace: namespace, Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close(context.Background()) })
		return x
	}
	t.Run("WithTheRoleAllWorks", func(t *testing.T) {
		is := is.New(t)
		cfg := as(t, namespace, "rdev-exactly", nil)
		is.Equal(len(missing(t, cfg, namespace)), 0)
		x := open(t, cfg)
		is.Equal(look(t, x, "claudebox").Detail, "") // the settings can be read
		r := start(limited(t), x, awaitRunning(t, x, "claudebox"), "sh", "-c", "pwd; exit 4")
		r.wait(t)
		is.NoErr(r.err)
		is.Equal(r.text(), "/workspace\n")
		is.Equal(r.result.ExitCode, 4)
	})
	t.Run("WithoutGetItIsNamed", func(t *testing.T) {
		is := is.New(t)
		cfg := as(t, namespace, "rdev-no-get", withoutExec("get"))
		is.Equal(missing(t, cfg, namespace), []string{"get pods/exec"})
		x := open(t, cfg)
		r := start(limited(t), x, awaitRunning(t, x, "claudebox"), "true")
		r.wait(t)
		is.True(r.err != nil && strings.Contains(r.err.Error(), `"get" and "create" on pods/exec`))
	})
	t.Run("WithoutCreateItIsNamed", func(t *testing.T) {
		is := is.New(t)
		cfg := as(t, namespace, "rdev-no-create", withoutExec("create"))
		is.Equal(missing(t, cfg, namespace), []string{"create pods/exec"})
	})
	t.Run("WithoutTheConfigMapProjectsSayIt", func(t *testing.T) {
		cfg := as(t, namespace, "rdev-no-map", func(role *rbacv1.Role) {
			role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "configmaps") })
		})
		x := open(t, cfg)
		awaitRunning(t, x, "claudebox")
		eventually(t, "the detail says it", func() bool { return strings.Contains(look(t, x, "claudebox").Detail, "rdev-config cannot be read") })
	})
	t.Run("WithoutPodsThereIsNoExecutor", func(t *testing.T) {
		is := is.New(t)
		cfg := c.RESTConfig()
		cfg.Impersonate.UserName = "nobody"
		_, err := kube.New(cfg, &kube.Options{Namespace: namespace, SyncTimeout: 3 * time.Second})
		is.True(err != nil && strings.Contains(err.Error(), "pods is forbidden"))
	})
}
