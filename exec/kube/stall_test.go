package kube_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	osexec "os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/internal/kubetest"
)

// stall is longer than a client of exec waits for the answer to its ping, 61 s:
// it reads none while what it has read is not taken.
const stall = 63 * time.Second

// TestAStall: 2,000,000 lines and an exit code arrive exactly, though nobody
// takes them for a minute, or nothing comes through for so long. `kubectl exec`
// gives up in the same minute.
func TestAStall(t *testing.T) {
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	proxy, config := through(t, nil)
	x, behind := newExecutor(t, namespace, nil), newExecutorAt(t, config, namespace, nil)
	target := awaitRunning(t, x, "web")
	awaitRunning(t, behind, "web")

	// Each of the four has read some when the stall begins, and all four are
	// stalled at the same time.
	var reading, all sync.WaitGroup
	reading.Add(4)
	begun, over := make(chan struct{}), make(chan struct{})
	until := func(then <-chan struct{}) func() {
		return func() {
			reading.Done()
			<-then
		}
	}
	// Whose connection stalls waits for that, or it might have all lines before.
	counted, frozen := &lineCounter{after: 1000, pause: until(over)}, &lineCounter{after: 1000, pause: until(begun)}
	all.Go(func() { counted.execute(t, x, target) })
	all.Go(func() { frozen.execute(t, behind, target) })
	reader, connection := kubectlSeq(t, c, pod, nil), kubectlSeq(t, c, pod, proxy)
	all.Go(func() { reader.run(t, until(over)) })
	all.Go(func() { connection.run(t, until(begun)) })
	reading.Wait()
	proxy.Freeze()
	close(begun)
	time.Sleep(stall)
	close(over)
	proxy.Thaw()
	all.Wait()

	for name, l := range map[string]*lineCounter{"reader": counted, "connection": frozen} {
		t.Run("OfThe/"+name, func(t *testing.T) {
			is := is.New(t)
			is.NoErr(l.err)
			is.Equal(l.wrong, "")
			is.Equal(l.lines, seqLines)
			is.Equal(l.result.ExitCode, 7)
			is.Equal(l.result.Lines, l.seq)
		})
	}
	for name, k := range map[string]*kubectl{"reader": reader, "connection": connection} {
		t.Logf("kubectl exec, stall of the %s: %s", name, k)
		// Another cluster may have another kubectl, which may do better.
		if !c.External() && k.code == 7 && k.lines == seqLines {
			t.Errorf("kubectl exec survived the stall of the %s: this test is no comparison any more", name)
		}
	}
}

// What runs: seqLines numbers, then an exit code.
const seqLines = 2_000_000

func seqArgv() []string {
	return []string{"sh", "-c", fmt.Sprintf("seq 1 %d; exit 7", seqLines)}
}

// A lineCounter checks that a command's lines are the numbers from 1 on.
type lineCounter struct {
	after int // call pause once, when so many lines have come
	pause func()

	lines  int
	seq    uint64
	part   []byte // of a line that has not ended: a command may rest in the middle of one
	wrong  string // the first line that was
	result exec.Result
	err    error
}

func (l *lineCounter) execute(t *testing.T, x *kube.Executor, target exec.Target) {
	cmd := exec.Command{ID: "seq-" + strings.ToLower(rand.Text()), Target: target, Argv: seqArgv()}
	l.result, l.err = x.Execute(t.Context(), cmd, func(lines []exec.Line) error {
		for _, line := range lines {
			l.take(line)
		}
		return nil
	})
	if l.lines < l.after {
		l.pause()
	}
}

func (l *lineCounter) take(line exec.Line) {
	l.seq++
	l.part = append(l.part, line.Data...)
	if l.wrong == "" && (line.Seq != l.seq || line.Stream != exec.Stdout) {
		l.wrong = fmt.Sprintf("%q of %s has number %d, not %d", line.Data, line.Stream, line.Seq, l.seq)
	}
	if line.Partial {
		return
	}
	l.lines++
	if n, err := strconv.Atoi(string(l.part)); l.wrong == "" && (err != nil || n != l.lines) {
		l.wrong = fmt.Sprintf("line %d is %q", l.lines, l.part)
	}
	l.part = l.part[:0]
	if l.lines == l.after {
		l.pause()
	}
}

// A kubectl is a run of `kubectl exec` with the same command.
type kubectl struct {
	cmd    *osexec.Cmd
	stdout io.ReadCloser
	stderr bytes.Buffer

	lines int
	code  int
}

// kubectlSeq makes one that goes through the proxy, if that is not nil.
func kubectlSeq(t *testing.T, c *kubetest.Cluster, pod *corev1.Pod, proxy *faultproxy.Proxy) *kubectl {
	t.Helper()
	argv := []string{"--kubeconfig", c.Kubeconfig()}
	if proxy != nil {
		config := c.RESTConfig()
		server := strings.TrimPrefix(config.Host, "https://")
		host, _, _ := strings.Cut(server, ":")
		argv = append(argv, "--server", "https://"+proxy.Addr(), "--tls-server-name", host)
	}
	argv = append(argv, "--namespace", pod.Namespace, "exec", pod.Name, "--")
	k := &kubectl{cmd: osexec.CommandContext(t.Context(), c.Kubectl(), append(argv, seqArgv()...)...)}
	k.cmd.Stderr = &k.stderr
	var err error
	if k.stdout, err = k.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *kubectl) run(t *testing.T, pause func()) {
	if err := k.cmd.Start(); err != nil {
		t.Error(err)
		pause()
		return
	}
	buf := make([]byte, 4096)
	n, err := k.stdout.Read(buf)
	pause()
	for ; err == nil; n, err = k.stdout.Read(buf) {
		k.lines += bytes.Count(buf[:n], []byte{'\n'})
	}
	var exit *osexec.ExitError
	if err := k.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	k.code = k.cmd.ProcessState.ExitCode()
}

func (k *kubectl) String() string {
	stderr := strings.TrimSpace(k.stderr.String())
	return fmt.Sprintf("%d lines of %d, exit code %d, stderr %q", k.lines, seqLines, k.code, stderr[strings.LastIndexByte(stderr, '\n')+1:])
}
