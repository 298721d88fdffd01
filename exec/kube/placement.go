package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A placement is a shim in a container.
type placement struct {
	program   string
	state     string   // its state folder
	workspace string   // where commands run
	env       []string // what they inherit; nil: the shim's default
}

// errUnplaceable says why a container cannot have a shim. Commands run there in
// direct mode.
type errUnplaceable struct{ why string }

func (e *errUnplaceable) Error() string { return "no shim can be placed: " + e.why }

// put brings the shim into the container, if it is not there, and returns where
// it is.
func (x *Executor) put(ctx context.Context, p place) (placement, error) {
	// The state is that of this run of the container: a volume may outlive it,
	// and may be mounted in several.
	sum := sha256.Sum256([]byte(p.instance()))
	state := "state-" + hex.EncodeToString(sum[:8])
	if p.shim != "" {
		return placement{program: p.shim, state: path.Join(path.Dir(p.shim), state), workspace: orDefault(p.workspace, "/")}, nil
	}
	var folder, machine, cwd string
	var problems []string
	env, err := x.runScript(ctx, p, probeScript, nil, func(kind, detail string) {
		switch kind {
		case "machine":
			machine = detail
		case "cwd":
			cwd = detail
		case "folder":
			folder = detail
		case "place":
			problems = append(problems, detail)
		}
	}, "f", strings.Join(p.volumes, " "))
	switch {
	case err != nil:
		return placement{}, err
	case machine == "":
		return placement{}, errors.New("the probe of the container was cut short")
	case folder == "":
		return placement{}, &errUnplaceable{strings.Join(problems, ", ") + "; mount an emptyDir volume"}
	}
	shim, err := shimFor(machine)
	if err != nil {
		return placement{}, &errUnplaceable{err.Error()}
	}
	placed, wrong := false, "the connection ended"
	record := func(kind, detail string) {
		switch kind {
		case "placed":
			placed = true
		case "wrong":
			wrong = detail
		}
	}
	variables := []string{"d", folder, "b", shim.fileName(), "h", shim.digest, "z", strconv.Itoa(len(shim.data))}
	if _, err = x.runScript(ctx, p, checkScript, nil, record, variables...); err == nil && !placed {
		_, err = x.runScript(ctx, p, placeScript, shim.data, record, variables...)
	}
	if err != nil {
		return placement{}, err
	}
	if !placed {
		return placement{}, fmt.Errorf("the shim did not arrive: %s", wrong)
	}
	return placement{
		program:   path.Join(folder, shim.fileName()),
		state:     path.Join(folder, state),
		workspace: orDefault(p.workspace, cwd),
		env:       splitEnviron(env),
	}, nil
}

// runScript runs a script of ours that may be run again, and returns what it
// wrote to stdout.
func (x *Executor) runScript(ctx context.Context, p place, script string, data []byte, record func(kind, detail string), variables ...string) ([]byte, error) {
	nonce := rand.Text()
	input := newLateInput()
	input.give(scriptInput(nonce, script, data, variables...))
	input.end()
	var stdout bytes.Buffer
	ready := false
	stderr := newDemux(nonce, func([]byte) {}, func(kind, detail string) {
		if kind == "ready" {
			ready = true
			return
		}
		record(kind, detail)
	})
	err := x.streamer.stream(ctx, p, bootArgv(nonce), input, &stdout, stderr)
	if !ready {
		return nil, classify(err)
	}
	return stdout.Bytes(), nil
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
