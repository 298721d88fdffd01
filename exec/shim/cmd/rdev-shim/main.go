// Command rdev-shim is the shim as a small static program, to be placed where
// commands run:
//
//	CGO_ENABLED=0 go build -trimpath -ldflags=-s\ -w ./exec/shim/cmd/rdev-shim
//
// Its commands are those of exec/shim/daemon.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/orchard9/rdev/exec/shim/daemon"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rdev-shim:", err)
		if errors.Is(err, daemon.ErrElsewhere) {
			os.Exit(daemon.ExitElsewhere)
		}
		os.Exit(1)
	}
}

func run() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program := daemon.Program{
		Self:   []string{self},
		Build:  "rdev-shim",
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
	}
	return program.Run(context.Background(), os.Args[1:])
}
