package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/orchard9/rdev/exec"
)

// An Inspection is what was found in the pod of a project.
type Inspection struct {
	Pod       string // with its namespace and container: "projects/web-0[main]"
	Container string
	Workspace string // empty: not known

	// Shim is the program that commands run under. Empty: none can be placed,
	// Direct says why, and commands run in direct mode.
	Shim   string
	Direct string
	// Running is how many commands the shim has.
	Running int
	// Foreign says that the shim is the image's own, and not of the build that
	// is in this program.
	Foreign bool

	// Init is the name of the process with the id 1, and Reaps whether it
	// collects the processes that nobody else waits for. Reaping says why that
	// could not be found out.
	Init    string
	Reaps   bool
	Reaping error
}

// Inspect places the shim in the project's pod, if it is not there, and looks
// at what commands depend on. It takes a few seconds. Errors are those of
// Execute: ErrTargetNotFound, ErrTargetNotReady, ErrNotStarted.
func (x *Executor) Inspect(ctx context.Context, project string) (Inspection, error) {
	failed := func(err error) (Inspection, error) {
		return Inspection{}, fmt.Errorf("exec/kube: inspect %s: %w", project, err)
	}
	p, err := x.watcher.resolve(ctx, exec.Target{Name: project})
	if err != nil {
		return failed(err)
	}
	in := Inspection{Pod: p.String(), Container: p.container, Workspace: p.workspace}
	s, err := x.supervisor(ctx, p)
	var unplaceable *errUnplaceable
	switch {
	case errors.As(err, &unplaceable):
		in.Direct = unplaceable.why
	case err != nil:
		return failed(err)
	default:
		status, err := s.client.Status(ctx)
		if err != nil {
			return failed(fmt.Errorf("the shim %s does not answer: %w", s.placement().program, err))
		}
		at := s.placement()
		in.Shim, in.Workspace, in.Running = at.program, at.workspace, status.Running
		in.Foreign = p.shim != "" && !x.isOwn(ctx, p)
	}
	in.Init, in.Reaps, in.Reaping = x.watchInit(ctx, p)
	return in, nil
}

// isOwn reports whether the shim that the image or a volume has is that of this
// program. Where that cannot be found out, it is given the benefit of the doubt:
// it speaks our protocol.
func (x *Executor) isOwn(ctx context.Context, p place) bool {
	var digest string
	_, err := x.runScript(ctx, p, digestScript, nil, func(kind, detail string) {
		if kind == "digest" {
			digest = detail
		}
	}, "f", p.shim)
	if err != nil || digest == "" {
		return true
	}
	var own []string
	for _, machine := range []string{"amd64", "arm64"} {
		if shim, err := shimFor(machine); err == nil {
			own = append(own, shim.digest)
		}
	}
	return slices.Contains(own, digest)
}

const digestScript = `s=$(sha256sum <"$f" 2>/dev/null)
printf '\036rdev:%s:digest:%s\n' "$n" "${s%% *}" >&2
`

// watchInit leaves a process behind that nobody waits for, and looks whether it
// is collected. It is not run under the shim, which would do that.
func (x *Executor) watchInit(ctx context.Context, p place) (init string, reaps bool, err error) {
	answer := ""
	_, err = x.runScript(ctx, p, orphanScript, nil, func(kind, detail string) {
		switch kind {
		case "init":
			init = strings.TrimSpace(detail)
		case "orphan":
			answer = detail
		}
	})
	if err == nil && answer == "" {
		err = errors.New("the container has no sleep")
	}
	return init, answer == "reaped", err
}

// orphanScript has a child of a child end after its parent, for process 1 to
// collect. Records: init:NAME, orphan:reaped, orphan:left.
const orphanScript = `rec() { printf '\036rdev:%s:%s\n' "$n" "$1" >&2; }
rec "init:$(cat /proc/1/comm 2>/dev/null)"
if sleep 0 2>/dev/null; then
  o=$(sh -c 'sleep 1 >/dev/null 2>&1 </dev/null & echo $!')
  i=0
  while [ "$i" -lt 6 ]; do
    sleep 1
    i=$((i + 1))
    if [ ! -e "/proc/$o" ]; then break; fi
  done
  if [ -e "/proc/$o" ]; then rec orphan:left; else rec orphan:reaped; fi
fi
`
