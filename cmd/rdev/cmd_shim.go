package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/exec/shim/daemon"
)

// shimCommand is the process that commands run under: `rdev serve` starts this
// program as that. It reads no settings, so that none can keep it from running.
func (a *app) shimCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "shim",
		Short:              "Supervise commands (rdev serve starts this by itself)",
		Hidden:             true,
		DisableFlagParsing: true, // the flags are those of package daemon
		PersistentPreRunE:  func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			self, err := shimSelf()
			if err != nil {
				return err
			}
			program := daemon.Program{
				Self:   self,
				Build:  "rdev " + buildVersion().Version,
				Stdin:  a.stdin,
				Stdout: a.stdout,
				Stderr: a.stderr,
			}
			err = program.Run(cmd.Context(), args)
			if errors.Is(err, flag.ErrHelp) {
				return nil // it was said
			}
			return err
		},
	}
}

// shimSelf is how this program is called as a shim. A daemon that was started
// so needs the file no more, which `go run` deletes.
func shimSelf() ([]string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program's own file: %w", err)
	}
	return []string{path, "shim"}, nil
}
