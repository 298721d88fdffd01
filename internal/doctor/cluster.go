package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/rdev"
)

// The oldest Kubernetes whose exec speaks WebSocket from end to end.
const oldestMinor = 30

// A Cluster is how to reach one, in functions so that its parts can be asked one
// after the other: without rights there is no Executor.
type Cluster struct {
	Namespace string
	// Survey is kube.Ask.
	Survey func(ctx context.Context) (kube.Survey, error)
	// Rights is kube.Rights.
	Rights func(ctx context.Context) ([]kube.Right, error)
	// Open is kube.New. The Executor is closed when the examination ends.
	Open func() (*kube.Executor, error)
	// Projects are those to look into. Defaults to the first one that runs.
	Projects []string
}

const (
	inspectTimeout = time.Minute      // to place the shim and look around
	closeTimeout   = 10 * time.Second // for the executor's end
)

// within calls f with a deadline.
func within[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

// Cluster examines a cluster and the pods of projects in it.
func (r *Report) Cluster(ctx context.Context, c Cluster) {
	survey, err := within(ctx, answerTimeout, c.Survey)
	if err != nil {
		r.Fail("cluster", "check RDEV_KUBECONFIG, the network and the credentials; kubectl get --raw /version must work with them", "%s", plain(err))
		return
	}
	r.Ok("cluster", "the API server %s answers", survey.Host)
	r.clock("cluster-clock", "the API server", survey.Asked, survey.Answered, survey.Date, time.Second)
	r.kubernetes(survey.Version, kube.ClientVersion())
	if !r.rights(ctx, c) {
		return
	}
	executor, err := c.Open()
	if err != nil {
		r.Fail("pods", "see what the message says", "%s", plain(err))
		return
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := executor.Close(ctx); err != nil {
			r.Warn("pods", "try again", "the connection to the pods did not end: %s", plain(err))
		}
	}()
	for _, project := range r.pods(ctx, c, executor) {
		if r.pod(ctx, executor, project) {
			r.Target(ctx, executor, project)
		}
	}
}

// kubernetes judges the version of the server, and of the client in this
// program.
func (r *Report) kubernetes(server, client string) {
	const check = "cluster-version"
	minor, ok := minorOf(server)
	newest, known := minorOf(client)
	switch {
	case !ok:
		r.Warn(check, "let rdev's user read /version (the ClusterRole system:discovery)", "the API server does not tell its version")
	case minor < oldestMinor:
		r.Warn(check, fmt.Sprintf("use Kubernetes 1.%d or newer", oldestMinor),
			"Kubernetes %s is older than 1.%d: exec goes over SPDY, which loses more connections unnoticed; the shim makes up for it, direct mode does not", server, oldestMinor)
	case known && minor > newest+1:
		r.Warn(check, "use a newer rdev", "Kubernetes %s is newer than what this rdev was made for (%s)", server, client)
	default:
		r.Ok(check, "Kubernetes %s; this rdev is made for 1.%d to 1.%d", server, oldestMinor, max(newest, minor))
	}
}

// minorOf returns the 34 of v1.34.2-gke.1.
func minorOf(version string) (int, bool) {
	rest, ok := strings.CutPrefix(version, "v1.")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, ".")
	minor, err := strconv.Atoi(digits)
	return minor, err == nil
}

// rights reports whether there are those without which there is no Executor.
func (r *Report) rights(ctx context.Context, c Cluster) bool {
	const check = "rights"
	rights, err := within(ctx, answerTimeout, c.Rights)
	if err != nil {
		r.Fail(check, "let rdev's user create selfsubjectaccessreviews (the ClusterRole system:basic-user)", "%s", plain(err))
		return true // what is not known may be there
	}
	missing, canWatch := 0, true
	for _, right := range rights {
		if right.Allowed {
			continue
		}
		missing++
		mend := fmt.Sprintf("add the verb %q on %s to rdev's Role in the namespace %s, as in deploy/kubernetes/role.yaml", right.Verb, right.Resource, c.Namespace)
		if right.Resource == "configmaps" { // all but the settings of projects works
			r.Warn(check, mend, "rdev may not %s, so settings of projects in it do not count", right)
			continue
		}
		if right.Resource == "pods" && right.Verb != "get" {
			canWatch = false
		}
		r.Fail(check, mend, "rdev may not %s: %s", right, right.Reason)
	}
	if missing == 0 {
		r.Ok(check, "all %d rights of deploy/kubernetes/role.yaml are there in the namespace %s", len(rights), c.Namespace)
	}
	return canWatch
}

// pods judges the projects, and returns those to look into.
func (r *Report) pods(ctx context.Context, c Cluster, executor *kube.Executor) []string {
	const check = "pods"
	all, err := executor.Projects().List(ctx)
	if err != nil {
		r.Fail(check, "try again", "%s", plain(err))
		return nil
	}
	if len(all) == 0 {
		r.Fail(check, "label the pods of projects rdev.orchard9.ai/project=true and rdev.orchard9.ai/name=NAME, as in deploy/kubernetes/claudebox.yaml",
			"no pod in the namespace %s is labelled as a project", c.Namespace)
		return nil
	}
	wanted := make(map[string]bool)
	for _, name := range c.Projects {
		wanted[name] = true
	}
	var running []string
	for _, p := range all {
		named := wanted[p.Name]
		delete(wanted, p.Name)
		switch {
		case p.Status == rdev.StatusRunning && p.Detail != "":
			r.Warn(check, "see what the message says", "the project %s runs, but: %s", p.Name, p.Detail)
		case p.Status == rdev.StatusRunning:
			r.Ok(check, "the project %s runs", p.Name)
		case named || len(all) == 1:
			r.Fail(check, fmt.Sprintf("kubectl -n %s describe pods -l rdev.orchard9.ai/project=true", c.Namespace), "the project %s is %s: %s", p.Name, p.Status, p.Detail)
		default:
			r.Warn(check, fmt.Sprintf("kubectl -n %s describe pods -l rdev.orchard9.ai/project=true", c.Namespace), "the project %s is %s: %s", p.Name, p.Status, p.Detail)
		}
		if p.Status == rdev.StatusRunning && (named || len(c.Projects) == 0 && len(running) == 0) {
			running = append(running, p.Name)
		}
	}
	for _, name := range c.Projects {
		if wanted[name] {
			r.Fail(check, "rdev projects lists those there are", "there is no project %s in the namespace %s", name, c.Namespace)
		}
	}
	return running
}

// pod judges what the pod of a project gives commands, and reports whether they
// can run in it.
func (r *Report) pod(ctx context.Context, executor *kube.Executor, project string) bool {
	const check = "shim"
	in, err := within(ctx, inspectTimeout, func(ctx context.Context) (kube.Inspection, error) {
		return executor.Inspect(ctx, project)
	})
	if err != nil {
		r.Fail(check, mendPod(err), "nothing can run in the pod of %s: %s", project, plain(err))
		return false
	}
	switch {
	case in.Direct != "":
		r.Warn(check, "mount an emptyDir volume in the container, as in deploy/kubernetes/claudebox.yaml",
			"no shim can be placed in %s: %s; commands run in direct mode there, and end with their connection", in.Pod, in.Direct)
	case in.Foreign:
		r.Warn(check, "put the rdev-shim of the same release there", "the shim %s in %s is of another version than this rdev", in.Shim, in.Pod)
	default:
		r.Ok(check, "the shim answers in %s, at %s", in.Pod, in.Shim)
	}
	r.reaping(in)
	return true
}

func (r *Report) reaping(in kube.Inspection) {
	const check = "reaping"
	switch {
	case in.Reaping != nil:
		r.Warn(check, "give the image sh and sleep to have this tried", "it cannot be tried whether process 1 of %s collects ended processes: %s", in.Pod, plain(in.Reaping))
	case !in.Reaps:
		r.Warn(check, "set shareProcessNamespace: true in the pod's spec, or start the container with tini",
			"process 1 of %s (%s) does not collect ended processes: what is left behind there fills the table of processes in time", in.Pod, in.Init)
	default:
		r.Ok(check, "process 1 of %s (%s) collects ended processes", in.Pod, in.Init)
	}
}

// mendPod says what to do about a pod in which nothing runs.
func mendPod(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "no sh that can be executed"):
		return "use an image with a POSIX sh, or put rdev-shim into it and name it in the annotation rdev.orchard9.ai/shim"
	case strings.Contains(text, "pods/exec"):
		return `rdev needs the verbs "get" and "create" on pods/exec, as in deploy/kubernetes/role.yaml`
	case strings.Contains(text, "incompatible shim"):
		return "put the rdev-shim of the same release as this rdev there"
	}
	return "mend what the message says, and try again"
}
