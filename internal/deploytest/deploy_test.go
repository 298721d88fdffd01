package deploytest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/server/client"
)

// TestInCluster installs rdev and uses it.
func TestInCluster(t *testing.T) {
	in := install(t)
	service := in.client(in.service())
	ctx := t.Context()

	t.Run("ThePlainManifestsAreTaken", func(t *testing.T) {
		other := restrictedNamespace(t, in.cluster)
		for _, file := range []string{"rdev.yaml", "role.yaml", "claudebox.yaml", "config.yaml"} {
			out, err := in.kubectl("", "apply", "--namespace", other, "--validate=strict", "--dry-run=server",
				"--filename", filepath.Join(root, "deploy", "kubernetes", file))
			if err != nil || strings.Contains(strings.ToLower(out), "warning") {
				t.Errorf("%s: %v\n%s", file, err, out)
			}
		}
		pod, err := os.ReadFile(filepath.Join(root, "deploy", "kubernetes", "claudebox.yaml"))
		must(t, err)
		privileged := strings.ReplaceAll(string(pod), "allowPrivilegeEscalation: false", "privileged: true")
		if out, err := in.kubectl(privileged, "apply", "--namespace", other, "--dry-run=server", "--filename=-"); err == nil {
			t.Errorf("the namespace takes privileged pods, so it shows nothing:\n%s", out)
		}
	})
	t.Run("ThePodsHaveNoRights", func(t *testing.T) {
		is := is.New(t)
		for _, pod := range in.pods() {
			status := in.status(pod)
			is.Equal(status["Uid"], "65532 65532 65532 65532")
			is.Equal(status["Gid"], "65532 65532 65532 65532")
			is.Equal(status["CapEff"], "0000000000000000")
			is.Equal(status["CapBnd"], "0000000000000000")
			is.Equal(status["NoNewPrivs"], "1")
			is.Equal(status["Seccomp"], "2") // filtered
			is.True(strings.HasPrefix(in.rootMount(pod), "ro"))
		}
	})
	t.Run("ACommandRunsAndIsFollowed", func(t *testing.T) {
		is := is.New(t)
		projects, err := service.Projects(ctx)
		is.NoErr(err)
		is.Equal(len(projects), 1)
		is.Equal(projects[0].Name, "claudebox")
		is.Equal(projects[0].Description, "Claude Code with a workspace of its own")
		cmd, err := service.RunShell(ctx, "claudebox", client.Shell{Argv: []string{"awk", `BEGIN { for (i = 1; i <= 1000; i++) print i; exit 3 }`}}, nil)
		is.NoErr(err)
		lines, end := follow(t, service, cmd.ID).wait()
		numbered(t, lines, 1000)
		is.Equal(end.State, client.Failed)
		is.Equal(*end.ExitCode, 3)
		cmd, err = service.RunShell(ctx, "claudebox", client.Shell{Command: "id -u"}, nil)
		is.NoErr(err)
		lines, end = follow(t, service, cmd.ID).wait()
		is.Equal(lines, []string{"1000"})
		is.Equal(end.State, client.Succeeded)
	})
	t.Run("DoctorInAPodOfRdevIsContent", func(t *testing.T) {
		out, err := in.kubectl("", "--namespace", in.namespace, "exec", "deploy/rdev", "--", "/rdev", "doctor")
		t.Log(out)
		must(t, err)
		for _, check := range []string{"server", "server-streaming", "cluster", "rights", "pods", "shim", "reaping", "streaming", "database", "schema"} {
			if !regexp.MustCompile(`(?m)^ok +` + check + ` `).MatchString(out) {
				t.Errorf("%s is not well", check)
			}
		}
	})
	t.Run("CancelledMeansDead", func(t *testing.T) {
		is := is.New(t)
		const nap = "98765"
		cmd, err := service.RunShell(ctx, "claudebox", client.Shell{Argv: []string{"sleep", nap}}, nil)
		is.NoErr(err)
		r := follow(t, service, cmd.ID)
		in.eventually("the command runs in the pod", func() bool { return in.process("sleep\x00"+nap, "") != 0 })
		_, err = service.Cancel(ctx, "claudebox", cmd.ID)
		is.NoErr(err)
		_, end := r.wait()
		is.Equal(end.State, client.Cancelled)
		is.Equal(in.process("sleep\x00"+nap, ""), 0)
	})
	t.Run("AnotherReplicaTakesOver", func(t *testing.T) {
		is := is.New(t)
		pods := in.pods()
		owner, other := pods[0], pods[1]
		cmd, err := in.client(at(owner, 8080)).RunShell(ctx, "claudebox", ticks(60), nil)
		is.NoErr(err)
		r := follow(t, in.client(at(other, 8080)), cmd.ID)
		in.eventually("lines come from the other replica", func() bool { return r.read() > 3 })
		// As when its node fails: it cannot say goodbye.
		is.NoErr(syscall.Kill(in.process("/rdev\x00serve", string(owner.UID)), syscall.SIGKILL))
		now := int64(0)
		is.NoErr(in.cluster.Client().CoreV1().Pods(in.namespace).Delete(ctx, owner.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
		lines, end := r.wait()
		numbered(t, lines, 60)
		is.Equal(end.State, client.Succeeded)
		in.available() // with a new pod
		takeovers := 0.0
		for _, pod := range in.pods() {
			takeovers += in.metric(pod, "rdev_takeovers_total")
		}
		is.True(takeovers >= 1)
	})
	t.Run("AnUpgradeLosesNothing", func(t *testing.T) {
		is := is.New(t)
		before := map[string]bool{}
		for _, pod := range in.pods() {
			before[pod.Name] = true
		}
		cmd, err := service.RunShell(ctx, "claudebox", ticks(120), nil)
		is.NoErr(err)
		r := follow(t, service, cmd.ID)
		in.eventually("lines come", func() bool { return r.read() > 3 })
		out, err := in.kubectl("", "rollout", "restart", "deployment/rdev")
		if err != nil {
			t.Fatal(out)
		}
		in.available()
		for _, pod := range in.pods() {
			is.True(!before[pod.Name])
		}
		lines, end := r.wait()
		numbered(t, lines, 120)
		is.Equal(end.State, client.Succeeded)
	})
}

// ticks prints the numbers from 1 to n, four each second.
func ticks(n int) client.Shell {
	return client.Shell{Argv: []string{"awk", fmt.Sprintf(`BEGIN { for (i = 1; i <= %d; i++) { print i; fflush(); system("sleep 0.25") } }`, n)}}
}

// numbered checks that lines are the numbers from 1 to n.
func numbered(t *testing.T, lines []string, n int) {
	t.Helper()
	if len(lines) != n {
		t.Errorf("%d lines, want %d", len(lines), n)
	}
	for i, line := range lines {
		if line != strconv.Itoa(i+1) {
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
}

func at(pod corev1.Pod, port int) string {
	return fmt.Sprintf("http://%s:%d", pod.Status.PodIP, port)
}

// metric is the sum of a counter at the metrics port of a pod, -1 if there is
// none.
func (in *installation) metric(pod corev1.Pod, name string) float64 {
	in.t.Helper()
	req, err := http.NewRequestWithContext(in.t.Context(), http.MethodGet, at(pod, 9090)+"/metrics", nil)
	must(in.t, err)
	resp, err := http.DefaultClient.Do(req)
	must(in.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(in.t, err)
	sum := -1.0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
		must(in.t, err)
		sum = max(sum, 0) + value
	}
	return sum
}

// process is the id of a process of the cluster with that command line, and of the
// pod with that id if there is one; zero if there is none.
func (in *installation) process(commandLine, pod string) int {
	in.t.Helper()
	all, err := in.cluster.Processes()
	must(in.t, err)
	for _, pid := range all {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if strings.Contains(string(line), commandLine) && strings.Contains(string(group), pod) {
			return pid
		}
	}
	return 0
}

// status is what the kernel says of rdev in the pod.
func (in *installation) status(pod corev1.Pod) map[string]string {
	in.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.process("/rdev\x00serve", string(pod.UID))))
	must(in.t, err)
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

// rootMount is how the root of rdev in the pod is mounted.
func (in *installation) rootMount(pod corev1.Pod) string {
	in.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", in.process("/rdev\x00serve", string(pod.UID))))
	must(in.t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[4] == "/" {
			return fields[5]
		}
	}
	return ""
}
