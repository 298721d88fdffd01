//go:build unix

package pgtest

// For the tests that look at processes.
var (
	Children    = children
	CommandLine = commandLine
	Sweep       = sweep
)
