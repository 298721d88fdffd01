package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes. Those from 124 on follow timeout(1), docker run and the shells;
// a remote command may exit with them too, which only --output json tells
// apart.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitAuth        = 4
	exitTimeout     = 124
	exitRdev        = 125 // rdev itself, or the connection
	exitRefused     = 126 // by policy or by the key; or not executable
	exitNotFound    = 127 // no such program, project or command
	exitInterrupted = 130
	exitSignal      = 128 // plus the number of the signal
)

// An exitError ends the program with a code; without err it says nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// A usageError is the caller's mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// usage makes the error of a check of arguments a usageError.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w; see %s --help", err, cmd.CommandPath())
		}
		return nil
	}
}

// mirrored marks a command whose exit code is the remote command's. Its own
// failures begin at 125, so that a script can tell them from most of those.
func mirrored(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{"exit": "mirrored"}
	return cmd
}

func mirrorsExit(cmd *cobra.Command) bool {
	if cmd == nil || cmd.Annotations["exit"] != "mirrored" {
		return false
	}
	// `logs` without -f only looks.
	follow := cmd.Flags().Lookup("follow")
	return follow == nil || follow.Value.String() == "true"
}

// exitCode is the exit code for what a command returned.
func exitCode(err error, mirrors bool) int {
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	var wrong *usageError
	switch {
	case mirrors && errors.As(err, &wrong):
		return exitRdev
	case mirrors:
		return remoteExit(err)
	case errors.As(err, &wrong):
		return exitUsage
	case isAuth(err):
		return exitAuth
	}
	return exitFailed
}

// errorText is what is said about the error, if anything.
func errorText(err error) string {
	var exit *exitError
	if err == nil || errors.As(err, &exit) && exit.err == nil {
		return ""
	}
	return printable(describe(err))
}
