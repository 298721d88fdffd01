// Command testlog reads what "go test -json" writes and prints what a person
// wants to see of it: one line for each package, everything of tests that
// failed, nothing of tests that passed, and why tests were skipped.
//
// It exits with 1 if a test failed or, with -forbid-skips, was skipped: where
// nothing may be missing, a test that did not run is no success.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("testlog", flag.ContinueOnError)
	flags.SetOutput(stderr)
	forbidSkips := flags.Bool("forbid-skips", false, "fail if a test was skipped")
	verbose := flags.Bool("v", false, "print the output of all tests")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	s := newSummary(stdout, *verbose)
	if err := s.read(stdin); err != nil {
		fmt.Fprintln(stderr, "testlog:", err)
		return 1
	}
	s.print()
	if s.broken || len(s.failed) > 0 || *forbidSkips && len(s.skipped) > 0 {
		return 1
	}
	return 0
}
