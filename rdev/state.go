package rdev

import "slices"

// State is where a command is in its life.
type State string

// The states of a command.
const (
	StateQueued    State = "queued"    // recorded, not started
	StateRunning   State = "running"   // handed to the executor; it may have started
	StateSucceeded State = "succeeded" // exited with 0
	StateFailed    State = "failed"    // exited with another code or by a signal, or could not start
	StateCanceled  State = "canceled"  // ended by Cancel
	StateTimedOut  State = "timed_out" // ended by its timeout
	StateLost      State = "lost"      // its supervisor or its target is gone: how it ended is unknown
)

// transitions is the state machine: what may follow each state. A state that
// nothing follows is terminal.
var transitions = map[State][]State{
	StateQueued:    {StateRunning, StateFailed, StateCanceled, StateLost},
	StateRunning:   {StateSucceeded, StateFailed, StateCanceled, StateTimedOut, StateLost},
	StateSucceeded: {},
	StateFailed:    {},
	StateCanceled:  {},
	StateTimedOut:  {},
	StateLost:      {},
}

// CanBecome reports whether a command in state s may go to next.
func (s State) CanBecome(next State) bool { return slices.Contains(transitions[s], next) }

// Terminal reports whether s is an end.
func (s State) Terminal() bool { next, known := transitions[s]; return known && len(next) == 0 }
