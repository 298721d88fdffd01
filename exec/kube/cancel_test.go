package kube_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/internal/kubetest"
)

// tree is a command whose processes do all that processes do to be left alone:
// each is the leader of a session of its own, deaf to TERM and HUP, most have no
// parent any more, one has no environment. The last is started again and again.
const tree = `
deaf='trap "" TERM HUP; touch up.$0; while :; do sleep 1; done'
trap "" TERM HUP
setsid sh -c "$deaf" child &
(setsid sh -c "$deaf" orphan &)
(setsid sh -c '(setsid sh -c "$0" twice >/dev/null 2>&1 </dev/null &)' "$deaf" &)
(setsid sh -c '(setsid env -i PATH="$PATH" sh -c "$0" bare >/dev/null 2>&1 </dev/null &)' "$deaf" &)
(setsid sh -c 'trap "" TERM HUP; while :; do (setsid sleep 30 &); touch up.forks; sleep 0.2; done' >/dev/null 2>&1 &)
while :; do sleep 1; done`

// TestCancelOfATree: none of the command's processes is left within the grace
// period and a second.
func TestCancelOfATree(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	x := newExecutor(t, namespace, nil)
	target := awaitRunning(t, x, "web")
	start(limited(t), x, target, "true").wait(t)
	before := processes(t, c, pod)

	const grace = 2 * time.Second
	cmd := exec.Command{ID: "tree", Target: target, Argv: []string{"sh", "-c", tree}, Grace: grace}
	type outcome struct {
		result exec.Result
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		result, err := x.Execute(limited(t), cmd, func([]exec.Line) error { return nil })
		done <- outcome{result, err}
	}()
	eventually(t, "the tree has grown", func() bool {
		out, err := c.Exec(t.Context(), pod, "sh", "-c", "ls /workspace/up.*")
		return err == nil && len(strings.Fields(string(out.Stdout))) == 5
	})
	is.True(len(processes(t, c, pod)) >= len(before)+6)

	began := time.Now()
	is.NoErr(x.Cancel(limited(t), target, cmd.ID))
	took := time.Since(began)
	left := processes(t, c, pod)
	end := <-done
	is.NoErr(end.err)
	is.Equal(end.result.Reason, exec.Canceled)
	is.Equal(end.result.Survivors, nil)
	is.Equal(left, before)
	t.Logf("dead %v after the cancel, with a grace period of %v", took.Round(time.Millisecond), grace)
	is.True(took >= grace) // they did not end of themselves
	is.True(took <= grace+time.Second)
}

// processes lists those of the pod that are alive, but for the ones that list
// them.
func processes(t *testing.T, c *kubetest.Cluster, pod *corev1.Pod) []string {
	t.Helper()
	out, err := c.Exec(limited(t), pod, "sh", "-c", `for p in /proc/[0-9]*; do
		[ "${p#/proc/}" = $$ ] || tr '\0' ' ' <$p/cmdline 2>/dev/null && echo; done`)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(out.Stdout)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "tr ") && !strings.HasPrefix(line, "sh -c for p in") {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}
