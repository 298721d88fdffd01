package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"sync"

	utilexec "k8s.io/client-go/util/exec"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim/daemon"
)

// describe is put where the image or a volume has the shim: that tells what
// probeScript tells elsewhere, because the container may have no shell.
func (x *Executor) describe(ctx context.Context, p place, origin string) (placement, error) {
	at := placement{program: p.shim, state: path.Join(path.Dir(p.shim), p.stateName())}
	argv := []string{p.shim, "prepare", "--describe", "--dir", at.state, "--owner", p.owner(), "--generation", strconv.Itoa(int(p.restarts))}
	if origin != "" {
		argv = append(argv, "--origin="+origin)
	}
	ctx, cancel := context.WithTimeout(ctx, scriptWait)
	defer cancel()
	input := newLateInput()
	input.give(nil)
	stdout, stderr := &lineBuffer{whole: input.end}, &tail{}
	err := x.streamer.stream(ctx, p, argv, input, stdout, stderr)
	input.end()
	var said daemon.Description
	var exit utilexec.CodeExitError
	switch line, whole := stdout.line(); {
	case whole:
		if err := json.Unmarshal(line, &said); err != nil {
			return placement{}, fmt.Errorf("what the shim %s says makes no sense: %w", p.shim, err)
		}
	case errors.As(err, &exit) && exit.Code == daemon.ExitElsewhere:
		return placement{}, &errElsewhere{p}
	case contains(stderr.String(), []string{"flag provided but not defined", "there is no command"}):
		// Of an earlier version: commands have the environment that it gives them.
		at.workspace, at.plain = orDefault(p.workspace, "/"), true
		return at, nil
	case err != nil && contains(err.Error(), noProgram):
		return placement{}, &failure{cause: exec.ErrTargetNotReady, final: true, err: err,
			text: fmt.Sprintf("there is no program %s, which the annotation %s names: %v", p.shim, ShimAnnotation, err)}
	case errors.As(err, &exit):
		return placement{}, fmt.Errorf("the shim %s cannot be used: %w: %s", p.shim, err, stderr)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return placement{}, fmt.Errorf("the shim %s has said nothing for %v", p.shim, scriptWait)
	default:
		return placement{}, classify(err)
	}
	at.workspace, at.origin = orDefault(p.workspace, string(said.Dir)), said.Origin
	at.env = []string{}
	for _, kv := range said.Env {
		at.env = append(at.env, string(kv))
	}
	return at, nil
}

// A lineBuffer keeps the first line that is written to it.
type lineBuffer struct {
	whole func() // called when it is there

	mu sync.Mutex
	b  []byte
}

// maxLine is more than the environment that a process can have.
const maxLine = 8 << 20

func (l *lineBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.b) < maxLine {
		l.b = append(l.b, b...)
	}
	if bytes.IndexByte(b, '\n') >= 0 {
		l.whole()
	}
	return len(b), nil
}

func (l *lineBuffer) line() ([]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, _, whole := bytes.Cut(l.b, []byte("\n"))
	return line, whole
}
