package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/doctor"
	"github.com/orchard9/rdev/internal/kubetest"
	"github.com/orchard9/rdev/server/client"
)

// podPatience is for what a cluster does on a loaded machine.
const podPatience = 5 * time.Minute

// A podServer is `rdev serve` as a program of its own whose projects are pods,
// with the rights of deploy/kubernetes/role.yaml and no others.
type podServer struct {
	*process
	t         *testing.T
	cluster   *kubetest.Cluster
	namespace string
	client    *client.Client
	env       []string // of a command line beside it
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podPatience)
	t.Cleanup(cancel)
	return ctx
}

// servePods applies the committed manifests and starts the server.
func servePods(t *testing.T) *podServer {
	t.Helper()
	c := kubetest.Shared(t)
	s := &podServer{t: t, cluster: c, namespace: c.Namespace(t)}
	for _, do := range []func(context.Context) error{
		c.StartControllers, // the scheduler is among them
		func(ctx context.Context) error { return c.Load(ctx, kubetest.Debian) },
	} {
		if err := do(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
	s.apply("role.yaml", nil)
	// That is all there is to substitute: which image, is for the user to say.
	s.apply("claudebox.yaml", func(text string) string {
		return strings.ReplaceAll(text, "claudebox:latest", c.Reference(kubetest.Debian))
	})
	kubeconfig := s.kubeconfig("rdev")
	if _, err := c.WaitRunning(limited(t), s.namespace, "claudebox"); err != nil {
		t.Fatal(err)
	}
	settings := []string{"RDEV_PROJECTS=", "RDEV_EXECUTOR=kubernetes", "RDEV_NAMESPACE=" + s.namespace, "RDEV_KUBECONFIG=" + kubeconfig}
	s.process = startProcess(t, append(settings, "RDEV_POLICY=permissive")...)
	var err error
	if s.client, err = client.New(s.url, sharedKey, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	s.env = append(settings, "RDEV_SERVER="+s.url, "RDEV_API_KEY="+sharedKey, "HOME="+t.TempDir())
	return s
}

// apply does what kubectl apply -f does with a file of deploy/kubernetes.
func (s *podServer) apply(file string, change func(string) string) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", file))
	if err != nil {
		s.t.Fatal(err)
	}
	if change != nil {
		text = []byte(change(string(text)))
	}
	cmd := exec.CommandContext(limited(s.t), s.cluster.Kubectl(), "--kubeconfig", s.cluster.Kubeconfig(), "--namespace", s.namespace, "apply", "--validate=strict", "--filename=-")
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", file, err, out)
	}
}

// kubeconfig writes how the service account reaches the cluster, by a token as
// pods have it, and returns the file's path.
func (s *podServer) kubeconfig(account string) string {
	s.t.Helper()
	token, err := s.cluster.Client().CoreV1().ServiceAccounts(s.namespace).
		CreateToken(limited(s.t), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	admin := s.cluster.RESTConfig()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthority: admin.CAFile, CertificateAuthorityData: admin.CAData}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	path := filepath.Join(s.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// call runs the command line beside the server.
func (s *podServer) call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	values := map[string]string{}
	for _, kv := range s.env {
		name, value, _ := strings.Cut(kv, "=")
		values[name] = value
	}
	var out, errs bytes.Buffer
	code = run(limited(t), args, func(name string) string { return values[name] }, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// project asks the server; one that is not there has no name.
func (s *podServer) project(t *testing.T, name string) client.Project {
	t.Helper()
	p, err := s.client.Project(limited(t), name)
	if err != nil {
		return client.Project{}
	}
	return p
}

// pod creates a pod of a project and does not wait for it.
func (s *podServer) pod(t *testing.T, project string, spec corev1.PodSpec) *corev1.Pod {
	t.Helper()
	no, soon := false, int64(0)
	spec.AutomountServiceAccountToken, spec.TerminationGracePeriodSeconds = &no, &soon
	for _, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range list {
			if list[i].Image == "" {
				list[i].Image = s.cluster.Reference(kubetest.Busybox)
			}
		}
	}
	pod, err := s.cluster.Client().CoreV1().Pods(s.namespace).Create(limited(t), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: project + "-", Labels: map[string]string{kube.ProjectLabel: "true", kube.NameLabel: project}},
		Spec:       spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cluster.Client().CoreV1().Pods(s.namespace).Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &soon})
	})
	return pod
}

// container waits, unless the command says otherwise.
func container(name string, command ...string) corev1.Container {
	return corev1.Container{Name: name, Command: command}
}

func TestServeKubernetes(t *testing.T) {
	s := servePods(t)
	t.Run("WithTheManifestsAsTheyAreDoctorIsContent", func(t *testing.T) {
		is := is.New(t)
		code, stdout, stderr := s.call(t, "doctor", "--json", "claudebox")
		var d diagnosis
		is.NoErr(json.Unmarshal([]byte(stdout), &d))
		t.Log(stdout, stderr)
		is.Equal(code, 0)
		for _, check := range []string{"server", "server-clock", "ready", "version", "key", "projects", "server-streaming",
			"cluster", "cluster-clock", "cluster-version", "rights", "pods", "shim", "reaping", "sh", "streaming", "git"} {
			is.Equal(d.find(check).State, doctor.OK)
		}
		is.Equal(d.find("claude").State, doctor.Warn)                                // that image has none
		is.True(strings.Contains(d.find("shim").Detail, " at /var/lib/rdev/.rdev-")) // and not in the workspace
	})
	t.Run("CommandsRunAndAreFollowed", func(t *testing.T) {
		is := is.New(t)
		code, stdout, stderr := s.call(t, "run", "claudebox", "--", "sh", "-c", "pwd; id -u; echo err >&2; seq 1 5000; exit 42")
		is.Equal(code, 42)
		is.True(strings.HasPrefix(stdout, "/workspace\n1000\n1\n"))
		is.True(strings.HasSuffix(stdout, "\n5000\n"))
		is.Equal(stderr, "err\n")
		_, stdout, _ = s.call(t, "git", "claudebox", "--", "--version")
		is.True(strings.HasPrefix(stdout, "git version"))
		code, id, _ := s.call(t, "run", "claudebox", "--detach", "--", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done; exit 7")
		is.Equal(code, 0)
		code, stdout, _ = s.call(t, "logs", "-f", strings.TrimSpace(id))
		is.Equal(code, 7)
		is.Equal(stdout, "1\n2\n3\n")
		code, _, stderr = s.call(t, "run", "claudebox", "--", "nosuchprogram")
		is.Equal(code, exitNotFound)
		is.True(!strings.Contains(stderr, "exec/")) // words for people
	})
	t.Run("ACancelledCommandIsDead", func(t *testing.T) {
		is := is.New(t)
		_, id, _ := s.call(t, "run", "claudebox", "--detach", "--", "sh", "-c", "setsid sleep 47110 & echo up; sleep 47110")
		id = strings.TrimSpace(id)
		s.until("it runs", func() bool {
			_, stdout, _ := s.call(t, "logs", id)
			return stdout == "up\n"
		})
		code, _, _ := s.call(t, "cancel", id)
		is.Equal(code, 0)
		code, _, _ = s.call(t, "logs", "-f", id)
		is.Equal(code, exitInterrupted)
		pod, err := s.cluster.Client().CoreV1().Pods(s.namespace).Get(limited(t), "claudebox", metav1.GetOptions{})
		is.NoErr(err)
		out, err := s.cluster.Exec(limited(t), pod, "sh", "-c", `cat /proc/[0-9]*/cmdline | tr '\0' ' ' | grep -c 'sleep 4711[0]'`)
		is.NoErr(err)
		is.Equal(strings.TrimSpace(string(out.Stdout)), "0")
	})
	t.Run("ProjectsFollowTheirPodsWithinASecond", func(t *testing.T) { testFollowPods(t, s) })
	t.Run("StatusesSayWhatIsAmiss", func(t *testing.T) { testStatuses(t, s) })
	t.Run("OfSeveralPodsTheOldestIsUsedAndTheOthersAreNamed", func(t *testing.T) {
		is := is.New(t)
		run := func(who string) *corev1.Pod {
			return s.cluster.RunPod(t, kubetest.Pod{
				Namespace: s.namespace, Env: map[string]string{"WHO": who},
				Labels: map[string]string{kube.ProjectLabel: "true", kube.NameLabel: "twin"},
			})
		}
		first := run("first")
		time.Sleep(time.Until(first.CreationTimestamp.Add(time.Second))) // it has whole seconds
		second := run("second")
		const want = "2 pods have this name: commands run in "
		s.until("both are seen", func() bool {
			return s.project(t, "twin").Detail == want+first.Name+", not in "+second.Name
		})
		_, stdout, _ := s.call(t, "run", "twin", "--", "sh", "-c", "echo $WHO")
		is.Equal(stdout, "first\n")
		is.NoErr(s.cluster.DeletePod(limited(t), s.namespace, first.Name))
		s.until("the second takes over", func() bool {
			p := s.project(t, "twin")
			return p.Status == "running" && p.Detail == ""
		})
		_, stdout, _ = s.call(t, "run", "twin", "--", "sh", "-c", "echo $WHO")
		is.Equal(stdout, "second\n")
	})
	t.Run("ItStops", func(t *testing.T) {
		is := is.New(t)
		s.terminate()
		is.Equal(s.ended(), 0)
	})
}

// testStatuses makes pods that do not run, each for another reason.
func testStatuses(t *testing.T, s *podServer) {
	here := corev1.PodSpec{NodeName: "localhost", HostNetwork: true}
	with := func(spec corev1.PodSpec, containers ...corev1.Container) corev1.PodSpec {
		spec.Containers = containers
		return spec
	}
	huge := container("main")
	huge.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
	absent := container("main")
	absent.Image = "nowhere.invalid/image:1"
	waits, fails, ended := with(here, container("main")), with(here, container("main")), with(here, container("main", "sh", "-c", "exit 3"))
	waits.InitContainers = []corev1.Container{container("fetch", "sleep", "100000")}
	fails.InitContainers, fails.RestartPolicy = []corev1.Container{container("fetch", "false")}, corev1.RestartPolicyNever
	ended.RestartPolicy = corev1.RestartPolicyNever
	want := map[string]struct{ status, detail string }{
		"huge":     {"pending", "no node was found for the pod: 0/1 nodes are available"},
		"absent":   {"pending", "nowhere.invalid/image:1"},
		"waits":    {"pending", "the init container fetch is running"},
		"fails":    {"failed", "the init container fetch has ended: exit code 1"},
		"ended":    {"failed", "exit code 3"},
		"crashing": {"failed", "CrashLoopBackOff"},
	}
	for name, spec := range map[string]corev1.PodSpec{
		"huge": with(corev1.PodSpec{}, huge), "absent": with(here, absent), "waits": waits, "fails": fails,
		"ended": ended, "crashing": with(here, container("main", "false")),
	} {
		s.pod(t, name, spec)
	}
	var wrong []client.Project
	deadline := time.Now().Add(podPatience)
	for {
		wrong = nil
		all, err := s.client.Projects(limited(t))
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, p := range all {
			if w, ok := want[p.Name]; ok {
				seen++
				if p.Status != w.status || !strings.Contains(p.Detail, w.detail) {
					wrong = append(wrong, p)
				}
			}
		}
		if seen == len(want) && len(wrong) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d are there, not as they should be: %+v", seen, len(want), wrong)
		}
		time.Sleep(100 * time.Millisecond)
	}
	// A command there ends at once, and says why in words for people.
	is := is.New(t)
	code, _, stderr := s.call(t, "run", "huge", "--", "true")
	is.Equal(code, exitRdev)
	is.True(strings.Contains(stderr, "0/1 nodes are available"))
	is.True(!strings.Contains(stderr, "exec/kube"))
}
