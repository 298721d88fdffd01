package helmtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/orchard9/rdev/internal/helmtest"
)

// manifests are the files of deploy/kubernetes that are the chart with its default
// values, each with the templates that it consists of; none is all of them.
var manifests = map[string][]string{
	"rdev.yaml": nil,
	"role.yaml": {"role", "serviceaccount", "rolebinding"},
}

const heading = `# The chart in ../helm/rdev with its default values. Do not change it here:
#
#   RDEV_UPDATE_DOCS=1 go test ./internal/helmtest
#
# docs/operations.md says how to apply it.
`

// TestManifestsAreTheChart: what is committed as plain manifests is what helm makes
// of the chart.
func TestManifestsAreTheChart(t *testing.T) {
	for file, templates := range manifests {
		t.Run(file, func(t *testing.T) {
			is := is.New(t)
			path := filepath.Join("..", "..", "deploy", "kubernetes", file)
			var args []string
			for _, name := range templates {
				args = append(args, "--show-only", "templates/"+name+".yaml")
			}
			want := heading + helmtest.Template(t, args...)
			if os.Getenv("RDEV_UPDATE_DOCS") != "" {
				is.NoErr(os.WriteFile(path, []byte(want), 0o644))
			}
			text, err := os.ReadFile(path)
			is.NoErr(err)
			if string(text) != want {
				t.Errorf("deploy/kubernetes/%s is not what the chart says; run RDEV_UPDATE_DOCS=1 go test ./internal/helmtest", file)
			}
		})
	}
}

// everything sets every value of the chart to another than its default.
const everything = `
image: {repository: registry.example/rdev, digest: "sha256:` + digest + `", pullPolicy: Always}
imagePullSecrets: [{name: registry}]
replicas: 3
database: {secretName: db, secretKey: url, listenSecretKey: direct}
adminKey: {secretName: admin, secretKey: key.txt}
projects: {namespace: projects}
settings: {policy: strict, keep_for: 24h, max_output: 1000000, database_pooled: true}
env: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://otel:4318"}]
shutdownTimeoutSeconds: 10
preStopSeconds: 0
service: {type: LoadBalancer, port: 8080, annotations: {a: b}}
metrics: {port: 9100, annotations: false, serviceMonitor: {enabled: true, interval: 15s, labels: {release: prometheus}}}
networkPolicy:
  from: [{podSelector: {matchLabels: {app: ingress}}}]
  metricsFrom: [{podSelector: {matchLabels: {app: prometheus}}}]
  apiServerPorts: [6443]
  databasePort: 6432
  egress: [{ports: [{port: 4318}]}]
podDisruptionBudget: {maxUnavailable: 50%}
resources: {requests: {cpu: "1"}}
storage: {data: 1Mi, tmp: 2Gi}
serviceAccount: {name: other, annotations: {c: d}}
podLabels: {team: x}
podAnnotations: {e: f}
nodeSelector: {disk: ssd}
tolerations: [{key: k, operator: Exists}]
affinity: {nodeAffinity: {}}
priorityClassName: high
`

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// render decodes the chart's manifests strictly, by kind. A ServiceMonitor is of
// no type that is known here.
func render(t *testing.T, values string) map[string][]runtime.Object {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string][]runtime.Object{}
	for _, document := range documents(t, helmtest.Template(t, "--values", file)) {
		if strings.Contains(document, "kind: ServiceMonitor") {
			checkServiceMonitor(t, document)
			all["ServiceMonitor"] = append(all["ServiceMonitor"], nil)
			continue
		}
		object, err := decode(document)
		if err != nil {
			t.Fatal(err)
		}
		kind := object.GetObjectKind().GroupVersionKind().Kind
		all[kind] = append(all[kind], object)
	}
	return all
}

func checkServiceMonitor(t *testing.T, document string) {
	t.Helper()
	var monitor struct {
		APIVersion, Kind string
		Metadata         struct {
			Name   string
			Labels map[string]string
		}
		Spec struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			}
			Endpoints []struct{ Port, Path, Interval string }
		}
	}
	is := is.New(t)
	is.NoErr(yaml.UnmarshalStrict([]byte(document), &monitor))
	is.Equal(monitor.APIVersion, "monitoring.coreos.com/v1")
	is.Equal(monitor.Metadata.Labels["release"], "prometheus")
	is.Equal(monitor.Spec.Selector.MatchLabels["app.kubernetes.io/component"], "metrics")
	is.Equal(monitor.Spec.Endpoints[0].Port, "metrics")
}

func one[T runtime.Object](t *testing.T, all map[string][]runtime.Object) T {
	t.Helper()
	kind := reflect.TypeFor[T]().Elem().Name()
	if len(all[kind]) != 1 {
		t.Fatalf("there are %d of the kind %s", len(all[kind]), kind)
	}
	return all[kind][0].(T)
}

func TestChart(t *testing.T) {
	t.Run("IsWithoutFaultsToHelm", func(t *testing.T) {
		is := is.New(t)
		out, err := helmtest.Helm(t, "lint", "--strict", "rdev")
		is.NoErr(err)
		is.True(strings.Contains(out, "0 chart(s) failed"))
	})
	t.Run("HasWhatAnOperatorNeedsAndNoMoreRights", func(t *testing.T) {
		is := is.New(t)
		all := render(t, "")
		var kinds []string
		for kind := range all {
			kinds = append(kinds, kind)
		}
		slices.Sort(kinds)
		is.Equal(kinds, []string{"Deployment", "NetworkPolicy", "PodDisruptionBudget", "Role", "RoleBinding", "Service", "ServiceAccount"})

		for _, rule := range one[*rbacv1.Role](t, all).Rules {
			for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs) {
				is.True(word != "*")
			}
			is.True(!slices.Contains(rule.Resources, "secrets"))
		}
		is.Equal(one[*rbacv1.RoleBinding](t, all).RoleRef.Kind, "Role")
		budget := one[*policyv1.PodDisruptionBudget](t, all)
		deployment := one[*appsv1.Deployment](t, all)
		pods := deployment.Spec.Template
		is.True(*deployment.Spec.Replicas > int32(budget.Spec.MaxUnavailable.IntValue())) // one is always left
		for _, selector := range []map[string]string{
			deployment.Spec.Selector.MatchLabels, budget.Spec.Selector.MatchLabels,
			one[*corev1.Service](t, all).Spec.Selector, one[*networkingv1.NetworkPolicy](t, all).Spec.PodSelector.MatchLabels,
		} {
			is.Equal(len(selector), 2)
			for key, value := range selector {
				is.Equal(pods.Labels[key], value)
			}
		}
		restricted(t, pods.Spec)
		rdev := pods.Spec.Containers[0]
		is.True(rdev.LivenessProbe != nil && rdev.ReadinessProbe != nil && rdev.StartupProbe != nil)
		is.True(len(pods.Spec.TopologySpreadConstraints) > 0)
		is.Equal(pods.Annotations["prometheus.io/port"], "9090")
	})
	t.Run("TakesEveryValue", func(t *testing.T) {
		is := is.New(t)
		all := render(t, everything)
		deployment := one[*appsv1.Deployment](t, all)
		pods := deployment.Spec.Template
		restricted(t, pods.Spec)
		rdev := pods.Spec.Containers[0]
		env := map[string]string{}
		for _, e := range rdev.Env {
			env[e.Name] = e.Value
		}
		is.Equal(rdev.Image, "registry.example/rdev@sha256:"+digest)
		is.Equal(env["RDEV_NAMESPACE"], "projects")
		is.Equal(env["RDEV_MAX_OUTPUT"], "1000000") // and not in powers of ten
		is.Equal(env["RDEV_POLICY"], "strict")
		is.Equal(env["RDEV_METRICS_ADDR"], ":9100")
		is.Equal(env["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://otel:4318")
		is.Equal(*pods.Spec.TerminationGracePeriodSeconds, int64(20))
		is.Equal(pods.Annotations, map[string]string{"e": "f"})
		is.Equal(one[*rbacv1.Role](t, all).Namespace, "projects")
		binding := one[*rbacv1.RoleBinding](t, all)
		is.Equal(binding.Namespace, "projects")
		is.Equal(binding.Subjects, []rbacv1.Subject{{Kind: "ServiceAccount", Name: "other", Namespace: helmtest.Namespace}})
		is.Equal(len(all["Service"]), 2)
		is.Equal(len(all["ServiceMonitor"]), 1)
	})
	t.Run("LeavesOutWhatIsTurnedOff", func(t *testing.T) {
		all := render(t, "{metrics: {enabled: false}, networkPolicy: {enabled: false}, podDisruptionBudget: {enabled: false}}")
		is.New(t).Equal(len(all["NetworkPolicy"])+len(all["PodDisruptionBudget"]), 0)
		if strings.Contains(fmt.Sprint(one[*appsv1.Deployment](t, all)), "metrics") {
			t.Error("the Deployment still names metrics")
		}
	})
}

// TestChartRefuses: what the chart does not know is not passed over.
func TestChartRefuses(t *testing.T) {
	for _, set := range []string{
		"replica=3", "image.name=x", "settings.admin_key=secret", "settings.POLICY=strict", "service.port=0",
		"database.secretName=", "storage.tmp=much", "image.digest=latest",
	} {
		t.Run(set, func(t *testing.T) {
			_, err := helmtest.Helm(t, "template", helmtest.Release, "rdev", "--set", set)
			if err == nil {
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), "schema") {
				t.Errorf("refused for another reason: %v", err)
			}
		})
	}
}

// restricted holds a pod to what the level "restricted" of the Pod Security
// Standards asks for, and to a root that is read-only. The API server holds it to
// the former as well, in deploytest.
func restricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	is := is.New(t)
	is.True(*pod.SecurityContext.RunAsNonRoot)
	is.Equal(pod.SecurityContext.SeccompProfile.Type, corev1.SeccompProfileTypeRuntimeDefault)
	is.True(!pod.HostNetwork && !pod.HostPID && !pod.HostIPC)
	for _, v := range pod.Volumes {
		is.True(v.EmptyDir != nil || v.Secret != nil)
	}
	for _, c := range pod.Containers {
		is.True(*c.SecurityContext.RunAsNonRoot && *c.SecurityContext.ReadOnlyRootFilesystem)
		is.True(!*c.SecurityContext.AllowPrivilegeEscalation)
		is.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"})
		is.Equal(len(c.SecurityContext.Capabilities.Add), 0)
	}
}
