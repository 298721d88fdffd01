package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orchard9/rdev/exec"
)

// commandTimeout is how long one of the commands that are tried may take.
const commandTimeout = 30 * time.Second

// Target runs short commands in a project, as the server would: are the
// programs there that commands need, and does output come as it is printed?
func (r *Report) Target(ctx context.Context, executor exec.Executor, project string) {
	if r.program(ctx, executor, project, "sh", "install a POSIX shell in it: scripts and commands of the level permissive need one", "-c", "echo there") {
		r.pauses(ctx, executor, project)
	}
	r.program(ctx, executor, project, "git", "install git in it, or do without git commands", "--version")
	r.program(ctx, executor, project, "claude", "install Claude Code in it (npm install -g @anthropic-ai/claude-code), or do without claude commands", "--version")
}

// program runs a program that says something short about itself.
func (r *Report) program(ctx context.Context, executor exec.Executor, project, name, mend string, arguments ...string) bool {
	var said strings.Builder
	result, err := try(ctx, executor, project, append([]string{name}, arguments...), func(line exec.Line) {
		if line.Stream == exec.Stdout && said.Len() == 0 {
			said.Write(line.Data)
		}
	})
	switch {
	case errors.Is(err, exec.ErrProgramNotFound):
		r.Warn(name, mend, "there is no %s in %s", name, project)
	case errors.Is(err, exec.ErrNotExecutable):
		r.Warn(name, mend, "the %s in %s cannot be executed", name, project)
	case err != nil:
		r.Fail(name, "mend what the message says, and try again", "%s could not be run in %s: %s", name, project, plain(err))
	case result.Reason == exec.TimedOut:
		r.Warn(name, fmt.Sprintf("run %s %s there by hand", name, strings.Join(arguments, " ")), "%s in %s does not answer within %v", name, project, commandTimeout)
	case result.ExitCode != 0:
		r.Warn(name, fmt.Sprintf("run %s %s there by hand", name, strings.Join(arguments, " ")), "%s in %s ends with the exit code %d", name, project, result.ExitCode)
	case name == "sh":
		r.Ok(name, "sh is there in %s", project)
		return true
	default:
		r.Ok(name, "%s in %s: %s", name, project, shorten(said.String()))
		return true
	}
	return false
}

// The command that shows whether output is held back on its way: two lines with
// a pause between.
const (
	pauseScript = "echo one; sleep 1; echo two"
	pause       = time.Second
)

// pauses runs it through the executor.
func (r *Report) pauses(ctx context.Context, executor exec.Executor, project string) {
	const check = "streaming"
	// A machine that is busy may deliver the first line late, once.
	for range 2 {
		var came []time.Time
		result, err := try(ctx, executor, project, []string{"sh", "-c", pauseScript}, func(exec.Line) { came = append(came, time.Now()) })
		switch {
		case err != nil:
			r.Fail(check, "mend what the message says, and try again", "output could not be read from %s: %s", project, plain(err))
			return
		case result.ExitCode != 0 || len(came) != 2:
			r.Warn(check, "install sleep in it to have this tried", "it cannot be tried whether output comes from %s as it is printed", project)
			return
		case came[1].Sub(came[0]) >= pause/2:
			r.Ok(check, "output comes from %s as it is printed", project)
			return
		}
	}
	r.Fail(check, "look for a proxy between this machine and the API server that holds back what passes",
		"output comes from %s all at once, at the end", project)
}

// try runs a command of its own.
func try(ctx context.Context, executor exec.Executor, project string, argv []string, each func(exec.Line)) (exec.Result, error) {
	return executor.Execute(ctx, exec.Command{
		ID:      "doctor-" + strings.ToLower(rand.Text()),
		Target:  exec.Target{Name: project},
		Argv:    argv,
		Timeout: commandTimeout,
		Grace:   time.Second,
	}, func(lines []exec.Line) error {
		for _, line := range lines {
			each(line)
		}
		return nil
	})
}

// shorten makes one short line of what a program said.
func shorten(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// plain leaves out which package an error is from.
func plain(err error) string {
	text := err.Error()
	for {
		name, rest, found := strings.Cut(text, ": ")
		if !found || !strings.HasPrefix(name, "exec/") || strings.Contains(name, " ") {
			break
		}
		text = rest
	}
	verb, rest, found := strings.Cut(text, ": ")
	if found && (strings.HasPrefix(verb, "execute doctor-") || strings.HasPrefix(verb, "inspect ")) {
		return rest
	}
	return text
}
