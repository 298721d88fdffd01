package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/rdev"
)

// Executor returns next with its commands counted. It implements exec.Locator
// if next does.
func (m *Metrics) Executor(next exec.Executor) exec.Executor {
	counted := &executor{next, m}
	if locator, ok := next.(exec.Locator); ok {
		return &locatingExecutor{counted, locator}
	}
	return counted
}

type executor struct {
	exec.Executor
	m *Metrics
}

type locatingExecutor struct {
	*executor
	exec.Locator
}

// Kill implements exec.Killer, as far as next does.
func (e *executor) Kill(ctx context.Context, target exec.Target, id string) error {
	if killer, ok := e.Executor.(exec.Killer); ok {
		return killer.Kill(ctx, target, id)
	}
	return e.Executor.Cancel(ctx, target, id)
}

// Forget implements exec.Forgetter, as far as next does.
func (e *executor) Forget(ctx context.Context, target exec.Target, id string) error {
	if forgetter, ok := e.Executor.(exec.Forgetter); ok {
		return forgetter.Forget(ctx, target, id)
	}
	return nil
}

func (e *executor) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	running := e.m.running.WithLabelValues(cmd.Target.Name)
	running.Inc()
	defer running.Dec()
	began, first := time.Now(), cmd.After == 0 && !cmd.Resume
	result, err := e.Executor.Execute(ctx, cmd, func(lines []exec.Line) error {
		if first {
			first = false
			e.m.firstLine.Observe(time.Since(began).Seconds())
		}
		return sink(lines)
	})
	if err != nil && !errors.Is(err, exec.ErrDetached) {
		e.m.executeErrors.WithLabelValues(string(rdev.CodeOf(err))).Inc()
	}
	return result, err
}
