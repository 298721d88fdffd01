package kube

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/exec"
)

// A placement is a shim in a container.
type placement struct {
	program   string
	state     string   // its state folder
	workspace string   // where commands run
	env       []string // what they inherit; nil: the shim's default
	origin    string   // the run of the container, as it is seen from inside; empty: not known
	plain     bool     // the program is of an earlier version and knows few flags
}

// errUnplaceable says why a container cannot have a shim. Commands run there in
// direct mode.
type errUnplaceable struct{ why string }

func (e *errUnplaceable) Error() string { return "no shim can be placed: " + e.why }

// errElsewhere says that an exec led into another run of the container than the
// place is: it has restarted, and the API server has not told of that yet. Nothing
// is to be started there in the name of the run that is over.
type errElsewhere struct{ place place }

func (e *errElsewhere) Error() string {
	return "the container has restarted, and the API server has not told of it yet"
}

// Unwrap has new commands not wait for this shim. Those that ran under it wait,
// and are told how the run ended when the watch tells of it.
func (e *errElsewhere) Unwrap() error { return exec.ErrTargetNotReady }

// put brings the shim into the container, if it is not there, and returns where
// it is. With the origin of an earlier placement it fails with an *errElsewhere
// in another run of the container.
func (x *Executor) put(ctx context.Context, p place, origin string) (placement, error) {
	state := p.stateName()
	if p.shim != "" {
		return x.describe(ctx, p, origin)
	}
	var found probe
	env, err := x.runScript(ctx, p, probeScript, nil, found.take, "f", strings.Join(p.volumes, " "), "e", state)
	if err != nil {
		return placement{}, err
	}
	shim, err := found.judge()
	if err != nil {
		return placement{}, err
	}
	put := putting{
		state:  path.Join(orDefault(found.state, found.folder), state),
		origin: origin, shim: shim,
	}
	// The program may be beside the state, or where there is room now.
	for _, folder := range slices.Compact([]string{found.state, found.folder}) {
		if folder == "" || put.program != "" {
			continue
		}
		if err := x.putScript(ctx, p, checkScript, nil, folder, &put); err != nil {
			return placement{}, err
		}
	}
	switch {
	case put.program == "" && found.folder == "":
		return placement{}, fmt.Errorf("a shim has its state in %s, but its program cannot be placed: %s", found.state, strings.Join(found.refused, ", "))
	case put.program == "":
		if err := x.putScript(ctx, p, placeScript, shim.data, found.folder, &put); err != nil {
			return placement{}, err
		}
	}
	if put.program == "" {
		return placement{}, errors.New("the shim did not arrive")
	}
	return placement{
		program:   put.program,
		state:     put.state,
		workspace: orDefault(p.workspace, found.cwd),
		env:       splitEnviron(env),
		origin:    put.origin,
	}, nil
}

// stateName is the name of the shim's state folder. The state is that of this
// run of the container: a volume may outlive it, and may be mounted in several.
func (p place) stateName() string {
	sum := sha256.Sum256([]byte(p.instance()))
	return "state-" + hex.EncodeToString(sum[:8])
}

// owner names what has the state folders of all runs of the container.
func (p place) owner() string { return string(p.uid) + "/" + p.container }

// putting is a placement that is being made.
type putting struct {
	state   string
	origin  string // that is wanted, or that was found
	shim    shimBinary
	program string // where it is; empty: not yet anywhere
}

// putScript runs a script that looks for the shim in the folder, or puts it
// there.
func (x *Executor) putScript(ctx context.Context, p place, script string, data []byte, folder string, put *putting) error {
	var problem error
	_, err := x.runScript(ctx, p, script, data, func(kind, detail string) {
		switch kind {
		case "placed":
			put.program, put.origin = path.Join(folder, put.shim.fileName()), detail
		case "elsewhere":
			problem = &errElsewhere{p}
		case "wrong":
			problem = fmt.Errorf("the shim cannot be placed in %s: %s", folder, detail)
		}
	}, "d", folder, "e", put.state, "w", p.owner(), "g", strconv.Itoa(int(p.restarts)), "o", put.origin,
		"b", put.shim.fileName(), "h", put.shim.digest, "z", strconv.Itoa(len(put.shim.data)))
	return cmp.Or(err, problem)
}

// lookForState returns an error unless this run of the container certainly has
// no state folder of a shim, which may have started commands that this Executor
// knows nothing of.
func (x *Executor) lookForState(ctx context.Context, p place) error {
	state, beside := "", ""
	if p.shim != "" {
		beside = path.Join(path.Dir(p.shim), p.stateName())
	}
	_, err := x.runScript(ctx, p, lookScript, nil, func(kind, detail string) {
		if kind == "state" {
			state = detail
		}
	}, "f", strings.Join(p.volumes, " "), "e", p.stateName(), "k", beside)
	if err == nil && state != "" {
		err = fmt.Errorf("it may run under a shim, whose state is in %s", state)
	}
	return err
}

// A probe is what probeScript has told.
type probe struct {
	machine *string
	cwd     string
	state   string   // the folder of ours that has the state of this run
	folder  string   // one that the program can be put into
	refused []string // why candidates for the folder are none
	tried   int      // candidates; 0: it has not come to that
}

func (f *probe) take(kind, detail string) {
	switch kind {
	case "machine":
		f.machine = &detail
	case "cwd":
		f.cwd = detail
	case "state":
		f.state = detail
	case "folder":
		f.folder = detail
	case "place":
		f.refused = append(f.refused, detail)
	case "tried":
		f.tried, _ = strconv.Atoi(detail)
	}
}

// judge returns the shim to place, or an *errUnplaceable if that is certain. What
// was not told is no answer: to run commands in direct mode where there is a shim
// could start them twice.
func (f *probe) judge() (shimBinary, error) {
	switch {
	case f.machine == nil || f.cwd == "" || f.tried == 0 || f.folder == "" && len(f.refused) < f.tried:
		return shimBinary{}, &failure{cause: exec.ErrNotStarted, text: "the probe of the container is incomplete"}
	case f.folder == "" && f.state == "":
		return shimBinary{}, &errUnplaceable{strings.Join(f.refused, ", ") + "; mount an emptyDir volume"}
	}
	shim, err := shimFor(*f.machine)
	if err != nil {
		return shimBinary{}, &errUnplaceable{err.Error()}
	}
	return shim, nil
}

// scriptWait is how long a script of ours may take.
const scriptWait = time.Minute

// runScript runs a script of ours that may be run again, and returns what it
// wrote to stdout. It fails unless all of it has come.
func (x *Executor) runScript(ctx context.Context, p place, script string, data []byte, record func(kind, detail string), variables ...string) ([]byte, error) {
	nonce := rand.Text()
	input := newLateInput()
	input.give(scriptInput(nonce, script, data, variables...))
	told := newTold(nonce, record, input.end)
	if data != nil {
		input.end()
	}
	ctx, cancel := context.WithTimeout(ctx, scriptWait)
	defer cancel()
	err := x.streamer.stream(ctx, p, bootArgv(nonce), input, told.stdout, told.stderr)
	// What copies the input may still wait for it.
	input.end()
	return told.result(err)
}

// told is what comes of a script that scriptEnd is behind.
type told struct {
	stdout, stderr *demux

	mu    sync.Mutex
	out   []byte
	ready bool
	ends  int // one on each stream, behind all that was said
}

// newTold gives the records to record, but for those that all scripts have, and
// calls over when nothing more is to come.
func newTold(nonce string, record func(kind, detail string), over func()) *told {
	t := &told{}
	take := func(kind, detail string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		switch kind {
		case "ready":
			t.ready = true
		case "done":
			if t.ends++; t.ends == 2 {
				over()
			}
		default:
			record(kind, detail)
		}
	}
	t.stdout = newDemux(nonce, func(b []byte) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.out = append(t.out, b...)
	}, take)
	t.stderr = newDemux(nonce, func([]byte) {}, take)
	return t
}

// result is what the script wrote to stdout, if that is all of it. err is what
// the transport says.
func (t *told) result(err error) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ends >= 2:
		return t.out, nil
	case !t.ready:
		return nil, classify(err)
	case err == nil:
		err = errors.New("the stream ended as if all were well")
	}
	return nil, &failure{cause: exec.ErrNotStarted, text: "a script in the container was cut short: " + err.Error(), err: err}
}

// splitEnviron reads what /proc has of a process's environment. Shells that
// came with the exec add nothing to it.
func splitEnviron(b []byte) []string {
	env := []string{}
	for kv := range strings.SplitSeq(string(b), "\x00") {
		if strings.Contains(kv, "=") {
			env = append(env, kv)
		}
	}
	return env
}

// volumesOf returns the mount paths of the container's emptyDir volumes, which
// a placement likes best: they are writable where the root is not. The one that
// the workspace is in comes last, because what is there is the user's.
func volumesOf(pod *corev1.Pod, container, workspace string) []string {
	empty := make(map[string]bool)
	for _, v := range pod.Spec.Volumes {
		empty[v.Name] = v.EmptyDir != nil
	}
	var paths, last []string
	for _, c := range pod.Spec.Containers {
		if c.Name != container {
			continue
		}
		workspace = path.Clean(orDefault(workspace, orDefault(c.WorkingDir, "/"))) + "/"
		for _, m := range c.VolumeMounts {
			if empty[m.Name] && !m.ReadOnly && m.SubPath == "" && m.SubPathExpr == "" && !strings.ContainsAny(m.MountPath, " \t\n*?[") {
				if strings.HasPrefix(workspace, path.Clean(m.MountPath)+"/") {
					last = append(last, m.MountPath)
					continue
				}
				paths = append(paths, m.MountPath)
			}
		}
	}
	return append(paths, last...)
}
