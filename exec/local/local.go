// Package local is the exec.Executor that runs commands on this machine, in
// folders that have names.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/orchard9/rdev/exec"
)

// Config of an Executor.
type Config struct {
	// Dir is the folder for the state and the output of commands. It is made
	// if it is not there, and belongs to one Executor at a time, or with Shim
	// to one daemon. Required.
	Dir string
	// Targets returns the folder of the target with that name, and whether
	// there is such a target. It must be safe for concurrent use; Folders makes
	// one of a map. Required.
	Targets func(name string) (folder string, ok bool)
	// Env is the environment ("K=V") of all commands. Whoever passes on the
	// environment of this process takes its secrets out first. Defaults to a
	// PATH of the usual folders, HOME=/ and LANG=C.UTF-8.
	Env []string
	// Linger is how long children that hold the output open may outlive the
	// main process of a command. Defaults to one second; negative means not at
	// all.
	Linger time.Duration
	// Retention is how long an ended command is remembered, if not so many have
	// ended since that the oldest are deleted (see MaxEnded and MaxEndedBytes of
	// shim.Options, whose defaults hold). Defaults to one hour; negative means
	// until Forget, or until then.
	Retention time.Duration
	// MinFree is how many bytes must stay free on the disk of Dir. Defaults to
	// 16 MiB; negative means no limit.
	MinFree int64
	// Shim has commands run under a daemon of the state folder instead of under
	// this process, which they then outlive: the next Executor follows them, or
	// finds how they ended. Where the daemon runs already, its own Linger,
	// Retention and MinFree hold. Defaults to none.
	Shim *Shim
}

func (c Config) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("exec/local: config: Dir is required")
	case c.Targets == nil:
		return errors.New("exec/local: config: Targets is required")
	case c.Shim != nil && len(c.Shim.Command) == 0:
		return errors.New("exec/local: config: Shim.Command is required")
	}
	return nil
}

// Folders returns a Config.Targets for a fixed set of targets: name to folder.
// The map must not be changed afterwards.
func Folders(folders map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		folder, ok := folders[name]
		return folder, ok
	}
}

// Executor runs commands as children of this process or of a daemon. It
// implements exec.Executor and exec.Locator; every target has the same
// Instance, that of the state folder and of who runs its commands now.
type Executor struct {
	runner  runner
	targets func(string) (string, bool)
}

var (
	_ exec.Executor = (*Executor)(nil)
	_ exec.Locator  = (*Executor)(nil)
	_ exec.Killer   = (*Executor)(nil)
)

// A runner runs commands in folders: an engine in this process, or a daemon's.
// Without a folder, it follows those that it knows.
type runner interface {
	Execute(ctx context.Context, folder string, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error)
	Cancel(ctx context.Context, id string) error
	Kill(ctx context.Context, id string) error
	forget(ctx context.Context, id string) error
	instance(ctx context.Context) (string, error)
	close(ctx context.Context) error
}

// New opens the state folder and cleans up after a process that died with it:
// what is left of its commands is killed, and they are exec.ErrLost. The error
// wraps shim.ErrInUse while another Executor has the folder. The caller must
// Close the Executor.
//
// With Config.Shim it starts the daemon of the folder, or finds it running
// with its commands.
func New(config Config) (*Executor, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	open := openEngine
	if config.Shim != nil {
		open = openDaemon
	}
	runner, err := open(config)
	if err != nil {
		return nil, fmt.Errorf("exec/local: %w", err)
	}
	return &Executor{runner: runner, targets: config.Targets}, nil
}

// Execute implements exec.Executor. A command that was started goes on or ends
// wherever its target points by now, and also if there is no such target any
// more; only a new one needs the target's folder.
func (x *Executor) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	if err := cmd.Validate(); err != nil {
		return exec.Result{}, err
	}
	folder, ok := x.targets(cmd.Target.Name)
	if !ok && cmd.Target.Instance == "" && cmd.After == 0 && !cmd.Resume { // it cannot have been started
		return exec.Result{}, notFound(cmd.Target.Name)
	}
	if !ok {
		folder = "" // nothing is started there
	}
	result, err := x.runner.Execute(ctx, folder, cmd, sink)
	if !ok && errors.Is(err, exec.ErrTargetNotReady) {
		err = notFound(cmd.Target.Name)
	}
	return result, err
}

// Cancel implements exec.Executor. It needs no folder, and so no target that is
// there: the state folder knows the command.
func (x *Executor) Cancel(ctx context.Context, _ exec.Target, id string) error {
	return x.runner.Cancel(ctx, id)
}

// Kill implements exec.Killer, likewise.
func (x *Executor) Kill(ctx context.Context, _ exec.Target, id string) error {
	return x.runner.Kill(ctx, id)
}

// Forget implements exec.Forgetter, likewise: the state folder belongs to this
// Executor alone.
func (x *Executor) Forget(ctx context.Context, _ exec.Target, id string) error {
	return x.runner.forget(ctx, id)
}

// Locate implements exec.Locator.
func (x *Executor) Locate(ctx context.Context, name string) (exec.Target, error) {
	folder, ok := x.targets(name)
	if !ok {
		return exec.Target{}, notFound(name)
	}
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = fs.ErrInvalid
	}
	if err != nil {
		return exec.Target{}, fmt.Errorf("exec/local: %w: the folder of %q cannot be opened: %w", exec.ErrTargetNotReady, name, err)
	}
	instance, err := x.runner.instance(ctx)
	if err != nil {
		return exec.Target{}, fmt.Errorf("exec/local: %w: %w", exec.ErrTargetNotReady, err)
	}
	return exec.Target{Name: name, Instance: instance}, nil
}

// Close cancels all commands, waits for their end and gives the state folder
// back. If ctx ends first, commands are killed without their grace, and Close
// returns the cause after that; with Shim, the daemon goes on cancelling them,
// and Close returns the cause at once. With Shim.Leave it leaves them alone.
func (x *Executor) Close(ctx context.Context) error {
	if err := x.runner.close(ctx); err != nil {
		return fmt.Errorf("exec/local: %w", err)
	}
	return nil
}

func notFound(name string) error {
	return fmt.Errorf("exec/local: %w: %q", exec.ErrTargetNotFound, name)
}
