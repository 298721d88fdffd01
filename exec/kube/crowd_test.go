package kube_test

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// TestAHundredCommandsShareAStream: 100 commands that all run at one time in one
// pod are one exec for the API server.
func TestAHundredCommandsShareAStream(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	eventually(t, "execs of other tests are over", func() bool { return openExecs(t, c) == 0 })
	x := newExecutor(t, namespace, func(o *kube.Options) { o.Patience = patience })
	target := awaitRunning(t, x, "web")
	all := crowd(t, x, target, 100, "echo up; while [ ! -e go ]; do sleep 0.2; done; exit $0")
	is.Equal(openExecs(t, c), 1)
	release(t, c, pod, all)
}

// TestTheShimIsSmall: the memory of the shim with ten commands, which have all
// said something, and after much output of another. It counts everything that
// is resident: of the process that supervises and of the one that bridges the
// stream to it, the pages of their program too, which they share.
func TestTheShimIsSmall(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	x := newExecutor(t, namespace, nil)
	target := awaitRunning(t, x, "web")
	const limit = 15_000_000 / 1024 // KiB
	for _, when := range []string{"before", "after much output"} {
		if when != "before" {
			much := start(limited(t), x, target, "seq", "1", "1000000")
			much.wait(t)
			is.NoErr(much.err)
		}
		all := crowd(t, x, target, 10, "seq 1 10000; echo up; while [ ! -e go ]; do sleep 0.2; done; exit $0")
		resident := shimMemory(t, c, pod)
		t.Logf("%s: resident KiB %v", when, resident)
		is.Equal(len(resident), 2)
		is.True(resident["serve"]+resident["connect"] < limit)
		release(t, c, pod, all)
	}
}

// crowd runs so many commands at once, and returns when the last line of each
// is "up".
func crowd(t *testing.T, x *kube.Executor, target exec.Target, n int, script string) []*running {
	t.Helper()
	var all []*running
	for i := range n {
		all = append(all, start(limited(t), x, target, "sh", "-c", script, strconv.Itoa(i)))
	}
	for i, r := range all {
		eventually(t, fmt.Sprintf("command %d is up", i), func() bool { return strings.HasSuffix(r.text(), "up\n") })
	}
	return all
}

// release lets a crowd end, and sees each end as it should.
func release(t *testing.T, c *kubetest.Cluster, pod *corev1.Pod, all []*running) {
	t.Helper()
	is := is.New(t)
	_, err := c.Exec(limited(t), pod, "touch", "/workspace/go")
	is.NoErr(err)
	for i, r := range all {
		r.wait(t)
		is.NoErr(r.err)
		is.Equal(r.result.ExitCode, i)
	}
	_, err = c.Exec(limited(t), pod, "rm", "/workspace/go")
	is.NoErr(err)
}

// openExecs is how many execs the API server has open, by its own count.
func openExecs(t *testing.T, c *kubetest.Cluster) int {
	t.Helper()
	text, err := c.Client().CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	total, known := 0, false
	for line := range strings.Lines(string(text)) {
		labels, ok := strings.CutPrefix(line, "apiserver_longrunning_requests{")
		known = known || ok
		if !ok || !strings.Contains(labels, `subresource="exec"`) {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(labels[strings.LastIndexByte(labels, ' ')+1:]))
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if !known {
		t.Fatal("the API server does not count its long-running requests")
	}
	return total
}

// shimMemory is what each process of the shim in the pod has resident, in KiB,
// by what it does.
func shimMemory(t *testing.T, c *kubetest.Cluster, pod *corev1.Pod) map[string]int {
	t.Helper()
	out, err := c.Exec(limited(t), pod, "sh", "-c", `for p in /proc/[0-9]*; do
		set -- $(tr '\0' ' ' <$p/cmdline 2>/dev/null)
		case "$1" in */rdev-shim-*) echo "$2" $(grep VmRSS $p/status);; esac; done`)
	if err != nil {
		t.Fatal(err)
	}
	resident := make(map[string]int)
	for lines := bufio.NewScanner(strings.NewReader(string(out.Stdout))); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // serve VmRSS: 1234 kB
		if len(fields) != 4 {
			t.Fatalf("%q", lines.Text())
		}
		if resident[fields[0]], err = strconv.Atoi(fields[2]); err != nil {
			t.Fatal(err)
		}
	}
	return resident
}
