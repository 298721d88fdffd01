package rdev

import (
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/auth"
)

// Limits are what commands in one project may use. A field that is zero stands
// for the Service's (MaxProjectCommands, MaxTimeout and MaxOutput of Config);
// one that is set counts in its place, be it higher or lower, save where it
// says otherwise.
//
// Commands are counted while they run: one that waits in the queue, or has
// ended, takes no place. They are counted over all Services that share the
// records.
type Limits struct {
	// Commands is how many commands may run in the project at once, of all
	// keys together. Negative means without limit.
	Commands int
	// CommandsPerKey is how many commands of one key may run in the project at
	// once. Zero and negative mean without limit. Config.MaxKeyCommands counts
	// a key's commands in all projects, and holds besides.
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

// ErrTooManyCommands: as many commands run as may. errors.As with a *LimitError
// tells which limit says so.
var ErrTooManyCommands = errors.New("rdev: too many commands")

// A Limit names what a LimitError is about. Names are part of the API.
type Limit string

// The limits that a Service holds.
const (
	LimitProjectCommands Limit = "project_commands"        // commands in a project
	LimitKeyCommands     Limit = "key_commands"            // commands of a key
	LimitKeyInProject    Limit = "key_commands_in_project" // commands of a key in a project
	LimitQueue           Limit = "queue"                   // commands that wait for a project
	LimitWait            Limit = "max_wait"                // no place came free in time
)

// A LimitError says which limit refused a command, or ended one that waited. It
// wraps ErrTooManyCommands.
type LimitError struct {
	Limit Limit
	Max   int // how many the limit allows; zero if it counts nothing
}

func (e *LimitError) Error() string {
	switch e.Limit {
	case LimitProjectCommands:
		return fmt.Sprintf("the project runs as many commands as it may (%d), or others wait for its next place: try again when one has ended, or set max_wait", e.Max)
	case LimitKeyCommands:
		return fmt.Sprintf("the key runs as many commands as it may (%d): try again when one has ended, or set max_wait", e.Max)
	case LimitKeyInProject:
		return fmt.Sprintf("the key runs as many commands in the project as it may (%d): try again when one has ended, or set max_wait", e.Max)
	case LimitQueue:
		return fmt.Sprintf("as many commands wait for the project as may (%d in all, half of that for one key): try again later", e.Max)
	case LimitWait:
		return "no place came free within max_wait"
	}
	return ErrTooManyCommands.Error()
}

// Unwrap returns ErrTooManyCommands.
func (e *LimitError) Unwrap() error { return ErrTooManyCommands }

// gate returns what holds for commands of the caller in the project. The admin
// key has no limits of its own: it is the way in when others are at theirs.
func (s *Service) gate(caller auth.Principal, project Project) Gate {
	g := Gate{Project: s.cfg.MaxProjectCommands, Key: s.cfg.MaxKeyCommands, KeyInProject: max(project.Limits.CommandsPerKey, 0)}
	if own := project.Limits.Commands; own != 0 {
		g.Project = max(own, 0)
	}
	if caller.Admin {
		g.Key, g.KeyInProject = 0, 0
	}
	if g != (Gate{}) {
		g.Queue = s.cfg.MaxQueue
	}
	return g
}

// timeout returns the time limit of a command that asks for one, or for none.
func (s *Service) timeout(project Project, asked time.Duration) (time.Duration, error) {
	longest := s.cfg.MaxTimeout
	if own := project.Limits.Timeout; own != 0 {
		longest = min(longest, own)
	}
	switch {
	case asked < 0:
		return 0, &ArgumentError{Field: "timeout", Problem: "is negative"}
	case asked > longest:
		return 0, &ArgumentError{Field: "timeout", Problem: fmt.Sprintf("is above the longest that is allowed, %v", longest)}
	case asked == 0:
		return min(s.cfg.DefaultTimeout, longest), nil
	}
	return asked, nil
}

// output returns how many bytes of output are kept of a command.
func (s *Service) output(project Project) int64 {
	if own := project.Limits.Output; own != 0 {
		return min(s.cfg.MaxOutput, own)
	}
	return s.cfg.MaxOutput
}

// checkMaxWait refuses a wait that is too long.
func (s *Service) checkMaxWait(asked time.Duration) error {
	switch {
	case asked < 0:
		return &ArgumentError{Field: "max_wait", Problem: "is negative"}
	case asked > s.cfg.MaxWait:
		return &ArgumentError{Field: "max_wait", Problem: fmt.Sprintf("is above the longest that is allowed, %v", s.cfg.MaxWait)}
	}
	return nil
}
