package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// The benchmarks of pods use a real Kubernetes node; with -short they are left
// out.
func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }

// pods is a product whose project is a pod.
type pods struct {
	*product
	cluster  *kubetest.Cluster
	pod      *corev1.Pod
	executor *kube.Executor
	target   exec.Target
}

func startPods(b *testing.B) *pods {
	b.Helper()
	ctx := context.Background()
	c := kubetest.Shared(b)
	namespace := c.Namespace(b)
	pod := c.RunPod(b, kubetest.Pod{
		Namespace: namespace, Image: kubetest.Debian,
		Labels:      map[string]string{kube.ProjectLabel: "true", kube.NameLabel: "bench"},
		Annotations: map[string]string{kube.WorkspaceAnnotation: "/workspace"},
	})
	x, err := kube.New(c.RESTConfig(), &kube.Options{Namespace: namespace, OnError: func(err error) { b.Log(err) }})
	fatal(b, err)
	b.Cleanup(func() { fatal(b, x.Close(ctx)) })
	target, err := x.Locate(ctx, "bench")
	fatal(b, err)
	p := &pods{product: serve(b, x), cluster: c, pod: pod, executor: x, target: target}
	p.follow(b, p.run(b, "echo", "hi")) // the shim is placed
	return p
}

// kubectl returns a `kubectl exec` of argv.
func (p *pods) kubectl(argv ...string) *osexec.Cmd {
	return osexec.Command(p.cluster.Kubectl(), append([]string{
		"--kubeconfig", p.cluster.Kubeconfig(), "--namespace", p.pod.Namespace, "exec", p.pod.Name, "--",
	}, argv...)...)
}

// A firstWrite notes when something is written to it first.
type firstWrite struct{ at time.Time }

func (w *firstWrite) Write(b []byte) (int, error) {
	if w.at.IsZero() {
		w.at = time.Now()
	}
	return len(b), nil
}

// clientGo runs argv with a fresh exec of client-go, and returns when its first
// output came.
func (p *pods) clientGo(b *testing.B, argv ...string) time.Time {
	b.Helper()
	url := p.cluster.Client().CoreV1().RESTClient().Post().Resource("pods").
		Namespace(p.pod.Namespace).Name(p.pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: kubetest.Container, Command: argv, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	e, err := remotecommand.NewWebSocketExecutor(p.cluster.RESTConfig(), http.MethodGet, url.String())
	fatal(b, err)
	var out firstWrite
	fatal(b, e.StreamWithContext(context.Background(), remotecommand.StreamOptions{Stdout: &out, Stderr: &firstWrite{}}))
	return out.at
}

// BenchmarkPodEcho is a warm start of `echo hi` in a pod, from POST to the first
// output event over HTTP and server-sent events, in one request and in two,
// against the first output of a fresh exec of client-go and of `kubectl exec`; the
// four in turn, so that they meet the same noise. Figures are medians. The aims
// are a tenth of client-go, a twentieth of kubectl, and 2.5 ms.
func BenchmarkPodEcho(b *testing.B) {
	p := startPods(b)
	var rdev, two, clientGo, kubectl []float64
	b.ResetTimer()
	for range b.N {
		var first time.Time
		noted := func() { first = time.Now() }
		begin := time.Now()
		if lines := p.runAndFollow(b, noted, "echo", "hi"); lines != 1 {
			b.Fatalf("%d lines", lines)
		}
		rdev = append(rdev, milliseconds(first.Sub(begin)))

		begin = time.Now()
		if lines := p.followEach(b, p.run(b, "echo", "hi"), noted); lines != 1 {
			b.Fatalf("%d lines", lines)
		}
		two = append(two, milliseconds(first.Sub(begin)))

		begin = time.Now()
		clientGo = append(clientGo, milliseconds(p.clientGo(b, "echo", "hi").Sub(begin)))

		var out firstWrite
		cmd := p.kubectl("echo", "hi")
		cmd.Stdout = &out
		begin = time.Now()
		fatal(b, cmd.Run())
		kubectl = append(kubectl, milliseconds(out.at.Sub(begin)))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rdev), "rdev-ms")
	b.ReportMetric(median(two), "rdev-two-requests-ms")
	b.ReportMetric(median(clientGo), "client-go-ms")
	b.ReportMetric(median(kubectl), "kubectl-ms")
	b.ReportMetric(median(rdev)/median(clientGo), "of-client-go")
	b.ReportMetric(median(rdev)/median(kubectl), "of-kubectl")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkPodLines is 2,000,000 short lines out of a pod, against `kubectl exec`
// with its output thrown away: from POST to complete over server-sent events,
// stored on the way, in batches and with an event for each line; and to a caller of
// the executor alone. The aim is 0.8 of kubectl's speed.
func BenchmarkPodLines(b *testing.B) {
	const lines = 2_000_000
	p := startPods(b)
	p.compare(b, lines, 0, "seq", "1", fmt.Sprint(lines))
}

// BenchmarkPodBulk is the same for 500 MB in lines of 1,000 bytes: of a log, which
// becomes smaller on the way, and of noise, which does not.
func BenchmarkPodBulk(b *testing.B) {
	const lines, size, copies = 500_000, 1000, 100
	for name, line := range map[string]func(*rand.ChaCha8) string{"Log": logLine, "Noise": noiseLine} {
		b.Run(name, func(b *testing.B) {
			p := startPods(b)
			random := rand.NewChaCha8([32]byte{})
			var block strings.Builder
			for range lines / copies {
				block.WriteString((line(random) + strings.Repeat(" ", size))[:size-1] + "\n")
			}
			// Copies of a block this large lie further apart than any packing looks back.
			write := p.kubectl("sh", "-c", fmt.Sprintf("cat >block; for i in $(seq %d); do cat block; done >/workspace/bulk", copies))
			write.Args = slices.Insert(write.Args, slices.Index(write.Args, "exec")+1, "--stdin")
			write.Stdin = strings.NewReader(block.String())
			fatal(b, write.Run())
			p.compare(b, lines, lines*size, "cat", "/workspace/bulk")
		})
	}
}

// logLine is a line of structured log, with five kilobits of chance in it.
func logLine(r *rand.ChaCha8) string {
	var b strings.Builder
	for b.Len() < 1000 {
		n := r.Uint64()
		fmt.Fprintf(&b, `{"time":"2026-11-26T18:%02d:%02d.%06dZ","level":"info","msg":"request served","path":"/api/v1/items/%d","status":%d,"trace":"%016x","took_us":%d} `,
			n%60, n>>8%60, n>>16%1_000_000, n>>24%100_000, 200+n>>32%5, r.Uint64(), n>>40%10_000)
	}
	return b.String()
}

func noiseLine(r *rand.ChaCha8) string {
	b := make([]byte, 750)
	_, _ = r.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// compare runs argv, which prints so many lines, in each of four ways, in turn.
// bytes is how much is printed, if that is to be reported.
func (p *pods) compare(b *testing.B, lines, bytes int, argv ...string) {
	b.Helper()
	var product, single, executor, kubectl []float64
	b.ResetTimer()
	for n := range b.N {
		kubectl = append(kubectl, seconds(func() {
			fatal(b, p.kubectl(argv...).Run()) // its output goes to /dev/null
		}))
		product = append(product, seconds(func() {
			if got := p.follow(b, p.run(b, argv...)); got < lines { // more, where a line came in parts
				b.Fatalf("%d lines", got)
			}
		}))
		single = append(single, seconds(func() {
			if got := p.followEach(b, p.run(b, argv...), func() {}); got < lines {
				b.Fatalf("%d lines", got)
			}
		}))
		executor = append(executor, seconds(func() {
			p.execute(b, fmt.Sprintf("bench-%s-%d", strings.ToLower(strings.ReplaceAll(b.Name(), "/", "-")), n), lines, argv...)
		}))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(kubectl), "kubectl-s")
	b.ReportMetric(median(product), "rdev-s")
	b.ReportMetric(median(executor), "executor-s")
	b.ReportMetric(median(kubectl)/median(product), "rdev-speed")
	b.ReportMetric(median(kubectl)/median(single), "rdev-single-lines-speed")
	b.ReportMetric(median(kubectl)/median(executor), "executor-speed")
	if bytes > 0 {
		b.ReportMetric(float64(bytes)/1e6/median(product), "rdev-MB/s")
	}
}

// seconds is how long f takes, once all that was written before is on the disk: or
// each way would write what another one left.
func seconds(f func()) float64 {
	unix.Sync()
	begin := time.Now()
	f()
	return time.Since(begin).Seconds()
}

// execute runs argv with the executor alone.
func (p *pods) execute(b *testing.B, id string, lines int, argv ...string) {
	b.Helper()
	got := 0
	cmd := exec.Command{ID: id, Target: p.target, Argv: argv, MaxOutput: 1 << 30}
	result, err := p.executor.Execute(context.Background(), cmd, func(batch []exec.Line) error {
		got += len(batch)
		return nil
	})
	fatal(b, err)
	if got < lines || result.ExitCode != 0 {
		b.Fatalf("%d lines, %+v", got, result)
	}
}
