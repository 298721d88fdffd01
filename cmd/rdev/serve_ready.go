package main

import (
	"context"
	"errors"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// readyParts are what the server stands on, for GET /readyz. Each is asked
// something that it must look up.
func readyParts(commands rdev.Commands, broker stream.Broker, executor exec.Locator, projects rdev.Projects) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"store": func(ctx context.Context) error {
			_, err := commands.List(ctx, rdev.CommandFilter{}, 1)
			return err
		},
		"broker": func(ctx context.Context) error {
			sub, err := broker.Subscribe(ctx, "readyz", 0)
			if err == nil {
				sub.Close()
			}
			return err
		},
		// That one project's target is away is that project's trouble.
		"executor": func(ctx context.Context) error {
			all, err := projects.List(ctx)
			if err != nil || len(all) == 0 {
				return err
			}
			_, err = executor.Locate(ctx, all[0].Name)
			if errors.Is(err, exec.ErrTargetNotFound) || errors.Is(err, exec.ErrTargetNotReady) {
				return nil
			}
			return err
		},
	}
}
