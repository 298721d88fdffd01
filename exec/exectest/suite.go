// Package exectest holds the contract suite of [exec.Executor] and a scripted
// Executor for tests of programs that use one.
//
// An implementation of the port is whatever passes [Run] under the race
// detector. The names of the subtests are the contract. The suite uses the
// standard library alone, and observes what commands do through further
// commands, never through this machine's files and processes, so that it serves
// for executors that reach into pods, containers or other machines. The target
// needs a POSIX sh with the usual small programs (cat, chmod, grep, ln, mkdir,
// printf, rm, seq, sleep) and setsid where it has one.
package exectest

import (
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
)

// A Subject is the executor that a subtest examines.
type Subject struct {
	// Executor is examined. Required.
	Executor exec.Executor
	// Target is a target that is there and ready. Subtests leave no files and
	// no processes behind in it. Required.
	Target exec.Target
	// Absent is the name of a target that is not there. Defaults to
	// "exectest-absent".
	Absent string
	// Patience is how long the suite waits for what must happen. It is spent
	// only where something is wrong. Defaults to 30 s.
	Patience time.Duration

	// What the subject cannot do. The subtests that need it are skipped, and
	// the log says why.

	// NoProcesses says that nothing really runs: there are no processes,
	// files, folders and environments, only output and outcomes.
	NoProcesses bool
	// NoDetach says that a command cannot be left running without a caller.
	NoDetach bool
	// NoKillProof says that processes that left their process group cannot be
	// found and killed.
	NoKillProof bool
	// NoFlush says that a prompt is held back until its newline comes.
	NoFlush bool
}

// A need is a capability that a subtest cannot do without.
type need uint8

const (
	needsProcesses need = 1 << iota
	needsDetach
	needsKillProof
	needsFlush
)

// missing names the first capability that the subject lacks, or returns "".
func (s Subject) missing(needs need) string {
	for _, lack := range []struct {
		missing bool
		need    need
		name    string
	}{
		{s.NoProcesses, needsProcesses, "NoProcesses"},
		{s.NoDetach, needsDetach, "NoDetach"},
		{s.NoKillProof, needsKillProof, "NoKillProof"},
		{s.NoFlush, needsFlush, "NoFlush"},
	} {
		if lack.missing && needs&lack.need != 0 {
			return lack.name
		}
	}
	return ""
}

// A subtest is one sentence of the contract.
type subtest struct {
	name  string
	needs need
	run   func(*session)
}

// Run runs the contract suite. It calls open once for every subtest; open may
// return the same executor each time, and cleans up with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for _, group := range []struct {
		name     string
		subtests []subtest
	}{
		{"Outcome", outcomeTests()},
		{"Refusal", refusalTests()},
		{"Input", inputTests()},
		{"Output", outputTests()},
		{"Sink", sinkTests()},
		{"Identity", identityTests()},
		{"Following", followTests()},
		{"End", endTests()},
		{"Tree", treeTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.subtests {
				t.Run(test.name, func(t *testing.T) {
					subject := open(t)
					if lack := subject.missing(test.needs); lack != "" {
						t.Logf("not tested: the subject declares %s", lack)
						return
					}
					s := newSession(t, subject)
					test.run(s)
				})
			}
		})
	}
}
