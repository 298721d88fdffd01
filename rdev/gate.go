package rdev

import (
	"cmp"
	"context"
	"slices"
)

// A Gate says when Commands may store a record. Its numbers are those that hold
// for the record itself; zero means without limit.
//
// An unfinished record has a place, unless it waits. A record waits from its
// Insert, if that has a WaitUntil, until Admit gives it a place. So the places
// of a Service that died come back when another one takes its commands over and
// they end, and those that wait go on waiting.
type Gate struct {
	Project      int // places in the record's project
	Key          int // places of the record's key, in all projects
	KeyInProject int // places of the record's key in the record's project
	Queue        int // records that may wait for the project; half of them of one key
}

// Queue is what Commands implement besides if their Insert obeys Command.Gate.
//
// The queue of a project is fair over keys: they take turns, and the records of
// one key go in the order in which they came. One that cannot go because its
// key has no place is passed over and keeps its turn.
type Queue interface {
	// Admit gives the places that are free to the first in the queues of the
	// projects of these commands, whoever owns them, and returns how these
	// stand. One that has ended, or is not known, is left out.
	Admit(ctx context.Context, ids []string) ([]Place, error)
}

// A Place is where a command stands.
type Place struct {
	CommandID string
	// Position is 1 for the first in its project's queue; zero if the command
	// has a place.
	Position int
}

// A Seat is what Gate.Check and Admit, which serve implementations that have
// all unfinished records at hand, know of one.
type Seat struct {
	ID, Project, KeyID string
	// Turn orders those that wait; zero if it has a place.
	Turn int64
	Gate Gate
}

// Check is the rule of Commands.Insert for implementations: it reports, with a
// *LimitError, that c cannot be stored beside these unfinished records, or the
// turn that it gets, zero for a place.
func (g Gate) Check(c Command, unfinished []Seat) (turn int64, err error) {
	if g == (Gate{}) {
		return 0, nil
	}
	own := Seat{ID: c.ID, Project: c.Project, KeyID: c.KeyID, Gate: g}
	if !c.WaitUntil.IsZero() {
		return own.queue(unfinished)
	}
	if full := own.full(unfinished); full != nil {
		return 0, full
	}
	// Nobody overtakes one that waits and could go now.
	for _, s := range unfinished {
		if s.Turn != 0 && s.Project == c.Project && s.full(unfinished) == nil {
			return 0, &LimitError{LimitProjectCommands, g.Project}
		}
	}
	return 0, nil
}

// full says which limit keeps s from having a place beside the others.
func (s Seat) full(unfinished []Seat) error {
	inProject := 0
	for _, o := range unfinished {
		if o.Turn == 0 && o.Project == s.Project {
			inProject++
		}
	}
	if most := s.Gate.Project; most > 0 && inProject >= most {
		return &LimitError{LimitProjectCommands, most}
	}
	return s.keyFull(unfinished)
}

// keyFull is full without the limit that all keys share.
func (s Seat) keyFull(unfinished []Seat) error {
	all, inProject := 0, 0
	for _, o := range unfinished {
		if o.Turn != 0 || o.KeyID != s.KeyID {
			continue
		}
		all++
		if o.Project == s.Project {
			inProject++
		}
	}
	switch g := s.Gate; {
	case g.Key > 0 && all >= g.Key:
		return &LimitError{LimitKeyCommands, g.Key}
	case g.KeyInProject > 0 && inProject >= g.KeyInProject:
		return &LimitError{LimitKeyInProject, g.KeyInProject}
	}
	return nil
}

// queue returns the turn of s behind those that wait. A key's records have turns
// one after the other, and the first of a key has the turn that is due: so keys
// take turns, and one that comes late neither overtakes nor owes. A key that has
// no place does not hold the turn up; if none has, it goes on from the last.
func (s Seat) queue(unfinished []Seat) (turn int64, err error) {
	all, own := 0, 0
	var due, last, ownLast int64
	for _, o := range unfinished {
		if o.Turn == 0 || o.Project != s.Project {
			continue
		}
		all++
		last = max(last, o.Turn)
		if (due == 0 || o.Turn < due) && o.keyFull(unfinished) == nil {
			due = o.Turn
		}
		if o.KeyID == s.KeyID {
			own++
			ownLast = max(ownLast, o.Turn)
		}
	}
	if most := s.Gate.Queue; most > 0 && (all >= most || own >= max(most/2, 1)) {
		return 0, &LimitError{LimitQueue, most}
	}
	if due == 0 {
		due = max(last, 1)
	}
	if own > 0 {
		due = max(due, ownLast+1)
	}
	return due, nil
}

// Admit is the rule of Queue.Admit for implementations: it gives places to
// those of the unfinished records that wait for one of the projects, as far as
// there are any, and returns their ids. The Turn of these becomes zero.
func Admit(unfinished []Seat, projects []string) (admitted []string) {
	for _, i := range inTurn(unfinished) {
		s := &unfinished[i]
		if slices.Contains(projects, s.Project) && s.full(unfinished) == nil {
			s.Turn = 0
			admitted = append(admitted, s.ID)
		}
	}
	return admitted
}

// Places says how the unfinished records with these ids stand.
func Places(unfinished []Seat, ids []string) []Place {
	ahead := map[string]int{}
	positions := map[string]int{}
	for _, i := range inTurn(unfinished) {
		s := unfinished[i]
		ahead[s.Project]++
		positions[s.ID] = ahead[s.Project]
	}
	var places []Place
	for _, s := range unfinished {
		if slices.Contains(ids, s.ID) {
			places = append(places, Place{s.ID, positions[s.ID]})
		}
	}
	return places
}

// inTurn returns the indexes of those that wait, project by project, and there
// first come first: turns of different projects cannot be compared.
func inTurn(seats []Seat) (order []int) {
	for i := range seats {
		if seats[i].Turn != 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(
			cmp.Compare(seats[a].Project, seats[b].Project),
			cmp.Compare(seats[a].Turn, seats[b].Turn), cmp.Compare(seats[a].ID, seats[b].ID),
		)
	})
	return order
}
