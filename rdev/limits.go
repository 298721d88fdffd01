package rdev

import (
	"errors"
	"fmt"
	"time"
)

// Limits are what commands in one project may use. A field that is zero stands
// for the Service's (Config.Limits, MaxTimeout, MaxOutput); one that is set
// counts in its place, be it higher or lower, save where it says otherwise.
//
// Commands are counted while they run: one that is queued, or has ended, takes
// no place. They are counted over all Services that share the records.
type Limits struct {
	// Commands is how many commands may run in the project at once, of all
	// keys together. Negative means without limit.
	Commands int
	// CommandsPerKey is how many commands of one key may run in the project at
	// once. Negative means without limit. The Service's own limit for a key
	// counts its commands in all projects, and holds besides.
	CommandsPerKey int
	// Timeout is the longest that a command may ask for, and what one gets
	// that asks for none if the Service's default is longer. It cannot raise
	// the Service's.
	Timeout time.Duration
	// Output is how many bytes of output of one command are kept. It cannot
	// raise the Service's.
	Output int64
}

// Validate reports a field that no project can have.
func (l Limits) Validate() error {
	switch {
	case l.Timeout < 0:
		return fmt.Errorf("rdev: Limits.Timeout %v is negative", l.Timeout)
	case l.Output < 0:
		return errors.New("rdev: Limits.Output is negative")
	}
	return nil
}
