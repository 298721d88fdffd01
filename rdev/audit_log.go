package rdev

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orchard9/rdev/auth"
)

// Stages of a change of a key.
const (
	stageIntent = "intent"
	stageDone   = "done"
	stageFailed = "failed"
)

type requestIDKey struct{}

// WithRequestID returns a context that says, for the audit log, which request a
// call of the Service belongs to.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// by begins an entry with who asks, and from where.
func by(ctx context.Context, caller auth.Principal, event AuditEvent) AuditEntry {
	e := AuditEntry{Event: event, KeyID: caller.KeyID, KeyName: caller.Name}
	if caller.Addr.IsValid() {
		e.Addr = caller.Addr.String()
	}
	e.RequestID, _ = ctx.Value(requestIDKey{}).(string)
	return e
}

// intent is what is noted of a command before it runs; nil without a log.
func (s *Service) intent(ctx context.Context, caller auth.Principal, c Command) []AuditEntry {
	if s.cfg.Audit == nil {
		return nil
	}
	e := by(ctx, caller, AuditCommandIntent)
	set := s.masksOf(c.Spec.Env)
	e.Project, e.CommandID, e.Type, e.Dir = c.Project, c.ID, c.Type, set.String(c.Spec.Dir)
	e.Level = c.Policy
	if c.RequestID != "" {
		e.RequestID = c.RequestID
	}
	e.Argv, e.ArgvSHA256 = redact(set, c.Argv), AuditArgvDigest(c.Spec.Argv)
	e.Env = maskAll(set, slices.Sorted(maps.Keys(c.Spec.Env)))
	return []AuditEntry{e}
}

// aboutCommand is what is noted of a request about a command.
func (s *Service) aboutCommand(ctx context.Context, caller auth.Principal, event AuditEvent, c Command) []AuditEntry {
	if s.cfg.Audit == nil {
		return nil
	}
	e := by(ctx, caller, event)
	e.Project, e.CommandID, e.Type = c.Project, c.ID, c.Type
	return []AuditEntry{e}
}

// outcome is what is noted of a command when it has ended.
func (s *Service) outcome(c Command) []AuditEntry {
	if s.cfg.Audit == nil {
		return nil
	}
	e := AuditEntry{
		Event: AuditCommandOutcome, KeyID: c.KeyID, RequestID: c.RequestID, Project: c.Project, CommandID: c.ID, Type: c.Type,
		State: c.State, Code: c.Code,
	}
	if r := c.Result; r != nil {
		e.Result = &AuditResult{
			ExitCode: r.ExitCode, Signal: r.Signal, DurationMS: r.Duration.Milliseconds(), Lines: r.Lines,
			StdoutBytes: r.StdoutBytes, StderrBytes: r.StderrBytes, Truncated: r.Truncated,
		}
	}
	return []AuditEntry{e}
}

func madeKey(key auth.Key, replaces *auth.Replacement) AuditEntry {
	e := AuditEntry{Event: AuditKeyCreate, Key: &AuditKey{
		ID: key.ID, Name: key.Name, Scopes: key.Scopes, Projects: key.Projects, Policy: key.Policy, ExpiresAt: key.ExpiresAt,
		AllowedAddresses: key.AllowedAddresses,
	}}
	if replaces != nil {
		e.Event, e.Key.Replaces, e.Key.ReplacedUntil = AuditKeyRotate, replaces.ID, replaces.Until
	}
	return e
}

// auditKey changes a key between two rows: that it is about to be changed,
// without which it is not, and what became of that. If the process dies in
// between, there is an intent whose outcome nobody knows. Keys have a store of
// their own, so one transaction cannot hold both.
func (s *Service) auditKey(ctx context.Context, caller auth.Principal, what AuditEntry, change func() error) error {
	if s.cfg.Audit == nil {
		return change()
	}
	e := by(ctx, caller, what.Event)
	e.Key, e.Stage = what.Key, stageIntent
	if err := s.cfg.Audit.Append(ctx, e); err != nil {
		return fmt.Errorf("rdev: audit: %w", err)
	}
	err := change()
	if e.Stage = stageDone; err != nil {
		e.Stage, e.Code = stageFailed, CodeOf(err)
	}
	// The change has been made, or not; its caller may be gone.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if late := s.cfg.Audit.Append(after, e); late != nil {
		s.cfg.OnError(fmt.Errorf("rdev: audit what became of key %s: %w", what.Key.ID, late))
	}
	return err
}

// AuditOptions select rows of the audit log.
type AuditOptions struct {
	Project     string    // Defaults to all that the caller sees.
	KeyID       string    // Defaults to all.
	Since       time.Time // Defaults to the beginning.
	OldestFirst bool      // Defaults to the newest first.
	Cursor      uint64    // The Next of the page before. Defaults to the first page.
	Limit       int       // 1 to MaxPage. Defaults to DefaultPage.
}

// An AuditPage is a part of the audit log.
type AuditPage struct {
	Rows []AuditRow
	Next uint64 // the Cursor of the next page, zero on the last
	// Head is where the log ends, for those who see all of it.
	Head *AuditAnchor
}

// auditScan is how many rows one page looks at, for a caller who does not see
// them all.
const auditScan = 5000

// ErrNoAudit: the Service has no audit log.
var ErrNoAudit = errors.New("rdev: there is no audit log")

// AuditLog returns rows of the audit log. Needs audit:read. Who does not see
// every project gets the rows of those that it sees, and a page may then have
// fewer rows than asked for, or none, though more follow: its Next tells.
func (s *Service) AuditLog(ctx context.Context, caller auth.Principal, opts AuditOptions) (AuditPage, error) {
	if !caller.Can(auth.ScopeAuditRead) {
		return AuditPage{}, s.noteRefusal(ctx, caller, string(auth.ScopeAuditRead), opts.Project, missing(auth.ScopeAuditRead))
	}
	limit, err := pageSize(opts.Limit)
	if err != nil {
		return AuditPage{}, err
	}
	if s.cfg.Audit == nil {
		return AuditPage{}, ErrNoAudit
	}
	all := caller.Covers(nil, []auth.Pattern{auth.AllProjects})
	if opts.Project != "" && !caller.Sees(opts.Project) {
		return AuditPage{}, s.noteRefusal(ctx, caller, string(auth.ScopeAuditRead), opts.Project, errProjectHidden)
	}
	var page AuditPage
	if all {
		head, err := s.cfg.Audit.Head(ctx)
		if err != nil {
			return AuditPage{}, fmt.Errorf("rdev: audit: %w", err)
		}
		page.Head = &AuditAnchor{head.Seq, head.Hash}
	}
	filter := AuditFilter{Project: opts.Project, KeyID: opts.KeyID, Since: opts.Since, OldestFirst: opts.OldestFirst}
	for scanned := 0; ; {
		if opts.OldestFirst {
			filter.After = opts.Cursor
		} else {
			filter.Before = opts.Cursor
		}
		found, err := s.cfg.Audit.List(ctx, filter, limit+1)
		if err != nil {
			return AuditPage{}, fmt.Errorf("rdev: audit: %w", err)
		}
		for _, row := range found {
			if len(page.Rows) == limit {
				page.Next = opts.Cursor
				return page, nil
			}
			opts.Cursor = row.Seq
			if all || row.Project != "" && caller.Sees(row.Project) {
				page.Rows = append(page.Rows, row)
			}
		}
		if len(found) <= limit {
			return page, nil
		}
		if scanned += len(found); scanned >= auditScan {
			page.Next = opts.Cursor
			return page, nil
		}
	}
}
