package exectest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/orchard9/rdev/exec"
)

// Fake is an Executor without processes: its commands follow scripts, in
// memory. It is meant for tests of programs that use an Executor, and keeps the
// port's promises as far as they do not need processes: get-or-create by ID,
// numbered lines, After, Resume, Cancel, timeouts, detached commands, conflicts, the
// output cap. It passes [Run] with Subject.NoProcesses.
//
// The fields are set before the first use and not changed afterwards. The zero
// value has every target and no program. Time passes as in package time, so
// that a Fake in a bubble of testing/synctest takes no time at all.
type Fake struct {
	// Targets are the names of the targets that are there. Defaults to every
	// name.
	Targets []string
	// Programs are the scripts by program (Argv[0]).
	Programs map[string]Script
	// Func decides about commands whose program is not in Programs. Without
	// it, or where it returns false, they end with exec.ErrProgramNotFound.
	Func func(exec.Command) (Script, bool)

	mu       sync.Mutex
	commands map[key]*fakeCommand
}

type key struct{ target, id string }

// fakeInstance is the incarnation of every target of a Fake.
const fakeInstance = "fake"

// Locate implements [exec.Locator].
func (f *Fake) Locate(ctx context.Context, name string) (exec.Target, error) {
	if err := f.checkTarget(name); err != nil {
		return exec.Target{}, err
	}
	return exec.Target{Name: name, Instance: fakeInstance}, nil
}

func (f *Fake) checkTarget(name string) error {
	if f.Targets != nil && !slices.Contains(f.Targets, name) {
		return fmt.Errorf("exectest: %w: %s", exec.ErrTargetNotFound, name)
	}
	return nil
}

// Execute implements [exec.Executor].
func (f *Fake) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	running, err := f.find(ctx, cmd)
	if err != nil {
		return exec.Result{}, err
	}
	after := cmd.After
	stop := ctx.Done()
	for {
		lines, over, changed := running.read(after)
		if len(lines) > 0 {
			after = lines[len(lines)-1].Seq
			if err := sink(lines); err != nil {
				if !errors.Is(err, exec.ErrDetached) {
					running.cancel(exec.Canceled)
					<-running.ended
				}
				return exec.Result{}, err
			}
			continue
		}
		if over {
			return running.result, running.err
		}
		select {
		case <-changed:
		case <-stop:
			if errors.Is(context.Cause(ctx), exec.ErrDetached) {
				return exec.Result{}, exec.ErrDetached
			}
			running.cancel(exec.Canceled)
			stop = nil // the rest of the output is still to be given
		}
	}
}

// Cancel implements [exec.Executor].
func (f *Fake) Cancel(ctx context.Context, target exec.Target, id string) error {
	f.mu.Lock()
	running := f.commands[key{target.Name, id}]
	f.mu.Unlock()
	if running == nil {
		return nil
	}
	running.cancel(exec.Canceled)
	select {
	case <-running.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("exectest: the end of %s was not seen: %w", id, context.Cause(ctx))
	}
}

// find returns the command with that ID, which it starts if there is none. It
// forgets none: what it does not know was never started.
func (f *Fake) find(ctx context.Context, cmd exec.Command) (*fakeCommand, error) {
	if err := cmd.Validate(); err != nil {
		return nil, err
	}
	if err := f.checkTarget(cmd.Target.Name); err != nil {
		return nil, err
	}
	if instance := cmd.Target.Instance; instance != "" && instance != fakeInstance {
		return nil, fmt.Errorf("exectest: %w: target %s is no longer %s", exec.ErrLost, cmd.Target.Name, instance)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at := key{cmd.Target.Name, cmd.ID}
	if known := f.commands[at]; known != nil {
		if known.digest != cmd.Digest() {
			return nil, fmt.Errorf("exectest: %w: %s", exec.ErrConflict, cmd.ID)
		}
		return known, nil
	}
	switch {
	case cmd.After > 0:
		return nil, fmt.Errorf("exectest: %w: %s is not known", exec.ErrLost, cmd.ID)
	case cmd.Resume && ctx.Err() != nil:
		return nil, fmt.Errorf("exectest: %w: %s is not known", exec.ErrOutcomeUnknown, cmd.ID)
	}
	script, ok := f.Programs[cmd.Argv[0]]
	if !ok && f.Func != nil {
		script, ok = f.Func(cmd)
	}
	if !ok {
		script = Script{Err: fmt.Errorf("exectest: %w: %s", exec.ErrProgramNotFound, cmd.Argv[0])}
	}
	if err := script.Err; err != nil && !errors.Is(err, exec.ErrLost) && !errors.Is(err, exec.ErrOutcomeUnknown) {
		return nil, err
	}
	if f.commands == nil {
		f.commands = map[key]*fakeCommand{}
	}
	started := startFake(cmd.WithDefaults(), script)
	f.commands[at] = started
	return started, nil
}
