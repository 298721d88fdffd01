package rdev

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
)

// Bounds of what refused requests write into the audit log, of each Service in
// each minute: somebody without a key may make any number of them.
const (
	refusalMinute  = time.Minute
	refusalsEach   = 5   // rows for one kind of refusal of one key or address
	refusalsOfAll  = 300 // such rows of all together
	refusalsKnown  = 256 // keys and addresses that are told apart; all others are one
	refusalsDelay  = time.Second
	pruneEvery     = time.Hour
	pruneBatch     = 1000
	refusalsBehind = 2 * refusalsOfAll // rows that wait for a store that does not answer
)

// errProjectHidden: the project is outside the caller's patterns. It tells no
// more than that there is no such project.
var errProjectHidden = fmt.Errorf("%w", ErrProjectNotFound)

// A notedError was noted as a refusal already.
type notedError struct{ error }

// Unwrap returns the error.
func (e *notedError) Unwrap() error { return e.error }

// refusals are what is still to be written of refused requests.
type refusals struct {
	mu      sync.Mutex
	pending []AuditEntry
	minute  time.Time
	rows    int // that were written in this minute
	kinds   map[refusalKind]*refusalCount
}

type refusalKind struct {
	who  string // a key's id, else an address; empty for all others
	code Code
}

type refusalCount struct {
	rows int
	more uint64
	like AuditEntry
}

// A Refusal is what NoteRefusal notes.
type Refusal struct {
	Action  string // what was asked for: the scope that it needs, as a rule
	Project string // may be empty
	Code    Code
	Reason  string // no secret
}

// NoteRefusal notes in the audit log that a request was refused before it came
// to the Service, because of its key or a limit. caller may be no more than an
// address. It does not block: it is written within about a second, and what is
// too much is counted.
func (s *Service) NoteRefusal(ctx context.Context, caller auth.Principal, r Refusal) {
	if s.cfg.Audit == nil {
		return
	}
	e := by(ctx, caller, AuditRefused)
	e.Action, e.Code, e.Reason = r.Action, r.Code, s.masks().String(r.Reason)
	if ValidProjectName(r.Project) {
		e.Project = r.Project
	}
	s.refusals.add(e, caller.Addr, time.Now())
}

// RefusalNoted reports whether an error is a refusal that the Service has noted
// in its audit log.
func RefusalNoted(err error) bool {
	var noted *notedError
	return errors.As(err, &noted)
}

// noteRefusal notes an error if it is a refusal, and returns it marked as noted.
func (s *Service) noteRefusal(ctx context.Context, caller auth.Principal, action, project string, err error) error {
	if s.cfg.Audit == nil || err == nil || RefusalNoted(err) {
		return err
	}
	r := Refusal{Action: action, Project: project, Code: CodeOf(err)}
	switch r.Code {
	case CodeCommandRejected:
		var refusal *policy.Refusal
		if errors.As(err, &refusal) {
			r.Reason = refusal.Code
		}
	case CodeProjectNotFound:
		if !errors.Is(err, errProjectHidden) {
			return err
		}
		r.Reason = "the key does not see the project"
	case CodeForbidden, CodeTooManyCommands, CodeTooManyStreams, CodeRateLimited:
		r.Reason = err.Error()
	default:
		return err
	}
	s.NoteRefusal(ctx, caller, r)
	return &notedError{err}
}

// add takes a refusal, or counts it.
func (r *refusals) add(e AuditEntry, addr netip.Addr, now time.Time) {
	kind := refusalKind{who: e.KeyID, code: e.Code}
	if kind.who == "" && addr.IsValid() {
		bits := 32
		if addr.Is6() {
			bits = 64
		}
		if prefix, err := addr.Prefix(bits); err == nil {
			kind.who = prefix.String()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	count := r.kinds[kind]
	if count == nil && len(r.kinds) >= refusalsKnown {
		kind.who = ""
		count = r.kinds[kind]
	}
	if count == nil {
		like := AuditEntry{Event: AuditRefusedMore, Code: e.Code}
		if kind.who != "" {
			like.KeyID, like.KeyName = e.KeyID, e.KeyName
			if like.KeyID == "" {
				like.Addr = kind.who
			}
		}
		count = &refusalCount{like: like}
		r.kinds[kind] = count
	}
	if count.rows >= refusalsEach || r.rows >= refusalsOfAll || len(r.pending) >= refusalsBehind {
		count.more++
		return
	}
	count.rows++
	r.rows++
	r.pending = append(r.pending, e)
}

// turn begins another minute, and leaves a row for each kind of the last one of
// which some were only counted.
func (r *refusals) turn(now time.Time) {
	if r.kinds != nil && now.Sub(r.minute) < refusalMinute {
		return
	}
	for _, count := range r.kinds {
		if count.more > 0 {
			count.like.Count = count.more
			r.pending = append(r.pending, count.like)
		}
	}
	// Without a store that takes them, they are lost in the end.
	if behind := len(r.pending) - refusalsBehind - refusalsKnown; behind > 0 {
		r.pending = r.pending[behind:]
	}
	r.kinds, r.minute, r.rows = make(map[refusalKind]*refusalCount), now, 0
}

// flush writes what is pending, with all also the counts of this minute.
func (s *Service) flushRefusals(ctx context.Context, all bool) error {
	r := &s.refusals
	r.mu.Lock()
	now := time.Now()
	if all {
		r.minute = time.Time{}
	}
	r.turn(now)
	batch := r.pending
	r.pending = nil
	r.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := s.cfg.Audit.Append(ctx, batch...)
	if err != nil {
		r.mu.Lock()
		r.pending = append(batch, r.pending...)
		r.mu.Unlock()
		return fmt.Errorf("rdev: audit refusals: %w", err)
	}
	return nil
}

// keepAudit writes refusals and removes rows that are too old, until the Service
// is closed.
func (s *Service) keepAudit(ctx context.Context) {
	tick := time.NewTicker(refusalsDelay)
	defer tick.Stop()
	var pruned, failed time.Time
	for {
		now := time.Now()
		if now.Sub(failed) > storeTimeout {
			err := s.flushRefusals(ctx, false)
			if err == nil && s.cfg.AuditAge > 0 && now.Sub(pruned) >= pruneEvery {
				pruned = now
				err = s.pruneAudit(ctx)
			}
			if err != nil && ctx.Err() == nil {
				failed = now
				s.cfg.OnError(err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err := s.flushRefusals(s.patience, true); err != nil {
				s.cfg.OnError(err)
			}
			return
		}
	}
}

func (s *Service) pruneAudit(ctx context.Context) error {
	before := s.now().Add(-s.cfg.AuditAge)
	for {
		step, cancel := context.WithTimeout(ctx, storeTimeout)
		n, err := s.cfg.Audit.Prune(step, before, pruneBatch)
		cancel()
		if err != nil {
			return fmt.Errorf("rdev: prune audit: %w", err)
		}
		if n < pruneBatch {
			return nil
		}
	}
}
