package rdev

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
)

// How often a Service with commands that wait asks for places. It asks at once
// when a command of its own has ended.
const (
	queueInterval = 250 * time.Millisecond
	queueRest     = 20 * time.Millisecond // at least, between two times
	watchedFor    = 3 * time.Second       // since a reader last asked for a position
)

// queue is what a Service knows of commands that wait: of its own, and of those
// whose position readers ask for.
type queue struct {
	mu      sync.Mutex
	waiting map[string]*waiting
	watched map[string]*watched
	wake    chan struct{} // holds one
}

// waiting is a command of this Service.
type waiting struct {
	position int           // as last told, zero before
	admitted chan struct{} // closed when there is a place, or nothing to wait for
}

// watched is a command of another Service, or one that waits no longer.
type watched struct {
	position int
	known    bool
	asked    time.Time
}

func newQueue() queue {
	return queue{waiting: map[string]*waiting{}, watched: map[string]*watched{}, wake: make(chan struct{}, 1)}
}

// kick has keepQueue look for places.
func (q *queue) kick() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// join adds a command of this Service; what it returns is closed when the
// command may go.
func (q *queue) join(id string) (admitted <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	entry := &waiting{admitted: make(chan struct{})}
	q.waiting[id] = entry
	q.kick()
	return entry.admitted
}

func (q *queue) leave(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, id)
	q.kick() // if it has a place, that is free now; the others have moved up
}

// ids returns the commands to ask for.
func (q *queue) ids() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, w := range q.watched {
		if time.Since(w.asked) > watchedFor {
			delete(q.watched, id)
		}
	}
	ids := slices.Concat(slices.Collect(maps.Keys(q.waiting)), slices.Collect(maps.Keys(q.watched)))
	slices.Sort(ids)
	return slices.Compact(ids)
}

// tell takes the answer for ids. What is not in it has ended.
func (q *queue) tell(ids []string, places []Place) {
	positions := make(map[string]int, len(places))
	for _, p := range places {
		positions[p.CommandID] = p.Position
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		position := positions[id]
		if w := q.watched[id]; w != nil {
			w.position, w.known = position, true
		}
		w := q.waiting[id]
		if w == nil {
			continue
		}
		w.position = position
		if position == 0 {
			select {
			case <-w.admitted:
			default:
				close(w.admitted)
			}
		}
	}
}

// keepQueue gives places to commands that wait, until ctx ends.
func (s *Service) keepQueue(ctx context.Context, places Queue) {
	var next <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.queue.wake:
		case <-next:
		}
		next = nil
		ids := s.queue.ids()
		if len(ids) == 0 {
			continue
		}
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		found, err := places.Admit(call, ids)
		cancel()
		switch {
		case err == nil:
			s.queue.tell(ids, found)
		case ctx.Err() == nil:
			s.cfg.OnError(fmt.Errorf("rdev: admit commands that wait: %w; trying again", err))
		}
		next = time.After(queueInterval)
		select { // so that many ends at once are one question
		case <-ctx.Done():
			return
		case <-time.After(queueRest):
		}
	}
}

// awaitPlace returns when a command that waits has a place, or when its context
// ends, or with a *LimitError when it has waited for long enough.
func (w *worker) awaitPlace() error {
	if w.cmd.WaitUntil.IsZero() {
		return nil
	}
	admitted := w.s.queue.join(w.cmd.ID)
	defer w.s.queue.leave(w.cmd.ID)
	enough := time.NewTimer(w.cmd.WaitUntil.Sub(w.s.cfg.Now()))
	defer enough.Stop()
	select {
	case <-admitted:
		return nil
	case <-w.ctx.Done():
		return nil // begin looks at why
	case <-enough.C:
		return &LimitError{Limit: LimitWait}
	}
}

// insert stores the record of a new command: with a place, or as one that waits.
func (s *Service) insert(ctx context.Context, cmd Command, wait time.Duration) (stored Command, created bool, err error) {
	stored, created, err = s.cfg.Commands.Insert(ctx, cmd)
	if isFull(err) && s.settleEnding(ctx) {
		stored, created, err = s.cfg.Commands.Insert(ctx, cmd)
	}
	var full *LimitError
	switch {
	case !errors.As(err, &full):
		return stored, created, err
	case wait == 0:
		return Command{}, false, full
	}
	cmd.State, cmd.StartedAt, cmd.Spec.Target = StateQueued, time.Time{}, exec.Target{Name: cmd.Spec.Target.Name}
	cmd.WaitUntil = cmd.CreatedAt.Add(wait)
	stored, created, err = s.cfg.Commands.Insert(ctx, cmd)
	if errors.As(err, &full) {
		err = full // without the store's words
	}
	return stored, created, err
}

// isFull reports whether err is that a command cannot run now.
func isFull(err error) bool { return errors.Is(err, ErrTooManyCommands) }

// settleEnding waits for the workers here that have told readers the end of
// their command and are about to record it: whoever has seen the end counts on
// the place. It reports whether there were any.
func (s *Service) settleEnding(ctx context.Context) bool {
	s.mu.Lock()
	var ending []string
	for id, w := range s.running {
		if w.ending.Load() {
			ending = append(ending, id)
		}
	}
	s.mu.Unlock()
	for _, id := range ending {
		if s.settle(ctx, id) != nil {
			return false
		}
	}
	return len(ending) > 0
}

// QueuePosition returns where a command waits for a place: 1 for the first in
// its project's queue, zero if it does not wait any longer. It answers from
// memory, and learns of a command that another Service runs by being asked:
// known is false at first, and the position up to half a second old.
func (s *Service) QueuePosition(id string) (position int, known bool) {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	if w := s.queue.waiting[id]; w != nil {
		return w.position, w.position != 0
	}
	w := s.queue.watched[id]
	if w == nil {
		w = &watched{}
		s.queue.watched[id] = w
		s.queue.kick()
	}
	w.asked = time.Now()
	return w.position, w.known
}
