package doctor_test

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/doctor"
	"github.com/orchard9/rdev/internal/kubetest"
)

// examine looks into the namespace with the rights of cfg's user.
func examine(t *testing.T, cfg *rest.Config, namespace string, projects ...string) findings {
	t.Helper()
	var report doctor.Report
	report.Cluster(limited(t), doctor.Cluster{
		Namespace: namespace,
		Projects:  projects,
		Survey:    func(ctx context.Context) (kube.Survey, error) { return kube.Ask(ctx, cfg) },
		Rights:    func(ctx context.Context) ([]kube.Right, error) { return kube.Rights(ctx, cfg, namespace) },
		Open: func() (*kube.Executor, error) {
			return kube.New(cfg, &kube.Options{Namespace: namespace, Version: "test", Patience: 5 * time.Second})
		},
	})
	return report.Findings()
}

// role is that of deploy/kubernetes/role.yaml.
func role(t *testing.T) *rbacv1.Role {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if err != nil {
			t.Fatalf("role.yaml has no Role: %v", err)
		}
		var r rbacv1.Role
		if yaml.Unmarshal(document, &r) == nil && r.Kind == "Role" {
			return &r
		}
	}
}

// without takes a verb on a resource out of the Role, or the resource as a
// whole.
func without(r *rbacv1.Role, verb, resource string) *rbacv1.Role {
	for i := range r.Rules {
		if rule := &r.Rules[i]; slices.Contains(rule.Resources, resource) {
			rule.Verbs = slices.DeleteFunc(rule.Verbs, func(v string) bool { return v == verb || verb == "*" })
		}
	}
	r.Rules = slices.DeleteFunc(r.Rules, func(rule rbacv1.PolicyRule) bool { return len(rule.Verbs) == 0 })
	return r
}

// as returns a configuration for somebody with that Role and nothing else.
func as(t *testing.T, namespace, user string, r *rbacv1.Role) *rest.Config {
	t.Helper()
	c := kubetest.Shared(t)
	r.Name = user
	rbac := c.Client().RbacV1()
	if _, err := rbac.Roles(namespace).Create(limited(t), r, metav1.CreateOptions{}); err != nil {
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
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		rights, err := kube.Rights(limited(t), cfg, namespace)
		if err == nil && slices.ContainsFunc(rights, func(r kube.Right) bool { return r.Allowed }) {
			return cfg
		}
		if time.Now().After(deadline) {
			t.Fatalf("the role does not come to count: %v", err)
		}
	}
}

// run runs a pod of the project web.
func run(t *testing.T, namespace string, p kubetest.Pod) *corev1.Pod {
	t.Helper()
	p.Namespace = namespace
	p.Labels = map[string]string{kube.ProjectLabel: "true", kube.NameLabel: "web"}
	return kubetest.Shared(t).RunPod(t, p)
}

func TestCluster(t *testing.T) {
	c := kubetest.Shared(t)
	t.Run("AllIsWell", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		pod := run(t, namespace, kubetest.Pod{Image: kubetest.Debian})
		out, err := c.Exec(limited(t), pod, "sh", "-c", `printf '#!/bin/sh\necho 9.8.7 "(Claude Code)"\n' >/usr/local/bin/claude && chmod +x /usr/local/bin/claude`)
		is.NoErr(err)
		is.Equal(out.Code, 0)
		found := examine(t, as(t, namespace, "doctor-exactly", role(t)), namespace)
		found.only(t, doctor.Fail)
		found.only(t, doctor.Warn)
		for check, text := range map[string]string{
			"cluster": "answers", "cluster-clock": "agrees", "cluster-version": "Kubernetes v1.", "rights": "all 8 rights",
			"pods": "the project web runs", "shim": pod.Name, "reaping": "collects", "sh": "there", "streaming": "as it is printed",
			"git": "git version", "claude": "9.8.7 (Claude Code)",
		} {
			found.want(t, doctor.OK, check, text)
		}
	})

	namespace := c.Namespace(t)
	run(t, namespace, kubetest.Pod{})
	t.Run("WhatTheImageLacksIsNamed", func(t *testing.T) {
		found := examine(t, c.RESTConfig(), namespace, "web")
		found.only(t, doctor.Fail)
		found.only(t, doctor.Warn, "git", "claude")
		found.want(t, doctor.Warn, "git", "install git")
		found.want(t, doctor.Warn, "claude", "install Claude Code")
	})
	t.Run("WithoutGetOnExecItIsNamed", func(t *testing.T) {
		found := examine(t, as(t, namespace, "doctor-no-get", without(role(t), "get", "pods/exec")), namespace)
		found.want(t, doctor.Fail, "rights", "rdev may not get pods/exec")
		found.want(t, doctor.Fail, "rights", `add the verb "get" on pods/exec`)
		found.want(t, doctor.Fail, "shim", "pods/exec")
		found.only(t, doctor.Fail, "rights", "shim")
	})
	t.Run("WithoutCreateOnExecItIsNamed", func(t *testing.T) {
		found := examine(t, as(t, namespace, "doctor-no-create", without(role(t), "create", "pods/exec")), namespace)
		found.want(t, doctor.Fail, "rights", "rdev may not create pods/exec")
		found.want(t, doctor.Fail, "rights", `add the verb "create" on pods/exec`)
	})
	t.Run("WithoutWatchThereIsNoMoreToSee", func(t *testing.T) {
		found := examine(t, as(t, namespace, "doctor-no-watch", without(role(t), "watch", "pods")), namespace)
		found.want(t, doctor.Fail, "rights", "rdev may not watch pods")
		found.only(t, doctor.OK, "cluster", "cluster-clock", "cluster-version")
	})
	t.Run("WithoutTheConfigMapAllElseWorks", func(t *testing.T) {
		found := examine(t, as(t, namespace, "doctor-no-map", without(role(t), "*", "configmaps")), namespace)
		found.want(t, doctor.Warn, "rights", "rdev may not watch configmaps rdev-config")
		found.only(t, doctor.Fail)
	})
	t.Run("AProjectThatIsNotThereIsNamed", func(t *testing.T) {
		found := examine(t, c.RESTConfig(), namespace, "shop")
		found.want(t, doctor.Fail, "pods", "there is no project shop")
	})
	t.Run("SettingsThatAreWrongAreShown", func(t *testing.T) {
		is := is.New(t)
		maps := c.Client().CoreV1().ConfigMaps(namespace)
		_, err := maps.Create(limited(t), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: kube.SettingsName},
			Data:       map[string]string{kube.SettingsKey: "web: {policy: lax}"},
		}, metav1.CreateOptions{})
		is.NoErr(err)
		defer func() { is.NoErr(maps.Delete(limited(t), kube.SettingsName, metav1.DeleteOptions{})) }()
		examine(t, c.RESTConfig(), namespace).want(t, doctor.Warn, "pods", `the policy is "lax"`)
	})
	t.Run("AClockThatIsWrongIsNamed", func(t *testing.T) {
		is := is.New(t)
		cfg := c.RESTConfig()
		survey, err := kube.Ask(limited(t), proxied(t, cfg, func(r *http.Response) {
			r.Header.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		}))
		is.NoErr(err)
		is.True(survey.Version != "")
		found := examine(t, proxied(t, cfg, func(r *http.Response) {
			r.Header.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		}), namespace)
		found.want(t, doctor.Fail, "cluster-clock", "behind this machine's")
		found.want(t, doctor.Fail, "cluster-clock", "NTP")
	})
	t.Run("AnAPIServerThatIsAwayIsNamed", func(t *testing.T) {
		cfg := c.RESTConfig()
		cfg.Host = "https://127.0.0.1:1"
		found := examine(t, cfg, namespace)
		found.want(t, doctor.Fail, "cluster", "connection refused")
		found.only(t, doctor.OK)
	})
}

func TestPods(t *testing.T) {
	c := kubetest.Shared(t)
	t.Run("NoneIsAFailure", func(t *testing.T) {
		namespace := c.Namespace(t)
		found := examine(t, c.RESTConfig(), namespace)
		found.want(t, doctor.Fail, "pods", "no pod in the namespace "+namespace+" is labelled as a project")
	})
	t.Run("WithoutShellItIsNamed", func(t *testing.T) {
		namespace := c.Namespace(t)
		run(t, namespace, kubetest.Pod{Image: kubetest.NoShell})
		found := examine(t, c.RESTConfig(), namespace)
		found.want(t, doctor.Fail, "shim", "has no sh that can be executed")
		found.want(t, doctor.Fail, "shim", "rdev.orchard9.ai/shim")
	})
	t.Run("AReadOnlyRootMeansDirectMode", func(t *testing.T) {
		namespace := c.Namespace(t)
		run(t, namespace, kubetest.Pod{Image: kubetest.ReadOnly, ReadOnlyRoot: true})
		found := examine(t, c.RESTConfig(), namespace)
		found.only(t, doctor.Fail)
		found.want(t, doctor.Warn, "shim", "direct mode")
		found.want(t, doctor.Warn, "shim", "mount an emptyDir volume")
		found.want(t, doctor.OK, "streaming", "as it is printed")
	})
	t.Run("AnInitThatDoesNotReapIsNamed", func(t *testing.T) {
		namespace := c.Namespace(t)
		now := int64(0)
		run(t, namespace, kubetest.Pod{
			Command: []string{"/bin/sleep", "100000"}, // waits for nobody
			Mutate:  func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &now },
		})
		found := examine(t, c.RESTConfig(), namespace)
		found.only(t, doctor.Fail)
		found.want(t, doctor.Warn, "reaping", "(sleep) does not collect ended processes")
		found.want(t, doctor.Warn, "reaping", "shareProcessNamespace: true")
	})
	t.Run("OneThatIsStartingIsShown", func(t *testing.T) {
		is := is.New(t)
		namespace := c.Namespace(t)
		_, err := c.Client().CoreV1().Pods(namespace).Create(limited(t), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "later", Labels: map[string]string{kube.ProjectLabel: "true", kube.NameLabel: "web"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "nowhere.invalid/image:1"}}},
		}, metav1.CreateOptions{})
		is.NoErr(err)
		examine(t, c.RESTConfig(), namespace).want(t, doctor.Fail, "pods", "the project web is pending")
	})
}

// proxied returns a configuration by which the API server is reached through a
// proxy that changes its answers.
func proxied(t *testing.T, cfg *rest.Config, change func(*http.Response)) *rest.Config {
	t.Helper()
	cfg = rest.CopyConfig(cfg)
	cfg.NextProtos = []string{"http/1.1"} // exec upgrades its connection
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		ModifyResponse: func(r *http.Response) error { change(r); return nil },
		FlushInterval:  -1,
	})
	t.Cleanup(proxy.Close)
	return &rest.Config{Host: proxy.URL}
}
