package rdev

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
)

// A Command is the record of one command: who asked for what, and how it went.
type Command struct {
	// ID is "cmd-" and a lower-case ULID, so ids sort by time. It is also the
	// id of the command's stream and the ID that the executor knows.
	ID      string
	Project string
	Type    policy.Type
	// Policy is the level that allowed it. Permissive says that its Argv may
	// give text of the caller to a shell.
	Policy policy.Level
	// Argv is what was asked for: the program and its arguments, without
	// those that the policy adds. A prompt is not in it; Spec has what runs.
	Argv  []string
	State State
	// KeyID is the key that asked for it, "admin" for the admin key.
	KeyID string
	// From is where it was asked for, the zero Addr if that is not known.
	From netip.Addr

	CreatedAt time.Time
	StartedAt time.Time // zero while queued
	EndedAt   time.Time // zero until it ended

	// CancelRequestedAt is when its cancellation was asked for, else zero.
	CancelRequestedAt time.Time

	// Result is how the process ended, nil as long as it has not, and for
	// ever if its end was not seen.
	Result *exec.Result
	// Claude is what claude reported of its run, nil if it did not, and for
	// other commands.
	Claude *ClaudeResult
	// Code and Message say why there is no Result, in a terminal state; or,
	// where there is one, CodeClaudeError and what claude reported.
	Code    Code
	Message string

	// IdempotencyKey is the caller's, else empty. RequestDigest tells a retry
	// of the same request from another one under the same key.
	IdempotencyKey string
	RequestDigest  string

	// RequestID is the id of the request that asked for it, and Trace its place
	// in the caller's trace; both empty if there was none.
	RequestID string
	Trace     Trace

	// WaitUntil is until when it waits for a place, zero if it does not wait.
	// Gate says how many places there are; only Insert uses it, of Commands
	// that implement Queue, and it is not read back.
	WaitUntil time.Time
	Gate      Gate

	// Owner is the Service that runs it, where there are several (see Leases).
	// Only Insert stores it; it changes by leases alone and is not read back.
	Owner string

	// Spec is what the executor is given. It is erased from the record when
	// the command has ended, because prompts and environments may be secret.
	Spec exec.Command

	// Audit is what Insert and Update append to the audit log, in the
	// transaction that stores the record: both are stored or none. It is no
	// part of the record and is not read back.
	Audit []AuditEntry
}

// StreamID is the id of the command's stream: its own.
func (c Command) StreamID() string { return c.ID }

// ClaudeSession is the SessionID of Claude, empty if there is none. Stores keep
// it for CommandFilter.ClaudeSession.
func (c Command) ClaudeSession() string {
	if c.Claude == nil {
		return ""
	}
	return c.Claude.SessionID
}

// NewCommandID returns a fresh id for a command made at now.
func NewCommandID(now time.Time) string {
	return "cmd-" + strings.ToLower(ulid.MustNew(ulid.Timestamp(now), rand.Reader).String())
}

// Errors of Commands. Implementations wrap them; test with errors.Is.
var (
	// ErrCommandNotFound: there is no record with this id.
	ErrCommandNotFound = errors.New("rdev: command not found")
	// ErrStaleState: the record is not in a state from which it may become
	// what was asked for.
	ErrStaleState = errors.New("rdev: command is in another state")
)

// Commands is the port through which a Service keeps its records. Its contract
// suite is rdev/rdevtest.Commands.
//
// All methods are safe for concurrent use. Times are kept to the microsecond
// and returned in UTC.
type Commands interface {
	// Insert stores a new record. If one of the same KeyID, Project and
	// non-empty IdempotencyKey was created within IdempotencyTTL before
	// c.CreatedAt, nothing is stored and that record is returned instead, with
	// created false. Commands that implement Queue obey c.Gate: if there is no
	// place for c, or none in the queue, the answer is a *LimitError. They
	// count in one transaction with the insert, over all Services.
	Insert(ctx context.Context, c Command) (stored Command, created bool, err error)
	// Get returns the record with this id, or ErrCommandNotFound.
	Get(ctx context.Context, id string) (Command, error)
	// List returns up to limit records that match, newest first.
	List(ctx context.Context, filter CommandFilter, limit int) ([]Command, error)
	// Update changes a record in one transaction: change is called with the
	// record as it is (perhaps more than once) and edits it. If change leads
	// from one state to another that transitions does not allow, or edits a
	// record in a terminal state, the answer is ErrStaleState and nothing is
	// changed. An error from change is returned as it is. ID, Project, Type,
	// Policy, KeyID, From, CreatedAt, the request's id and trace, and the
	// idempotency fields cannot be changed: what
	// change does to them is ignored. A record that reaches a terminal state
	// loses the Stdin and the Env of its Spec.
	Update(ctx context.Context, id string, change func(*Command) error) (Command, error)
}

// IdempotencyTTL is how long an idempotency key is remembered.
const IdempotencyTTL = 24 * time.Hour

// A CommandFilter selects records. Its zero value selects all.
type CommandFilter struct {
	Project string  // of this project
	States  []State // in one of these states
	Type    policy.Type
	KeyID   string
	// ClaudeSession selects the ended commands whose ClaudeResult has this
	// SessionID.
	ClaudeSession string
	// Before selects the records with an ID below this one: the ID of the
	// last record of the page before.
	Before string
}

// CheckUpdate is the rule of Commands.Update for implementations: it reports
// whether a record may change from before to after, and returns after with the
// fields that cannot change restored and the secrets of an ended command
// erased.
func CheckUpdate(before, after Command) (Command, error) {
	if before.State.Terminal() || before.State != after.State && !before.State.CanBecome(after.State) {
		return before, ErrStaleState
	}
	after.ID, after.Project, after.Type, after.KeyID, after.CreatedAt = before.ID, before.Project, before.Type, before.KeyID, before.CreatedAt
	after.Policy, after.From = before.Policy, before.From
	after.IdempotencyKey, after.RequestDigest = before.IdempotencyKey, before.RequestDigest
	after.RequestID, after.Trace = before.RequestID, before.Trace
	if after.State.Terminal() {
		after.Spec.Stdin, after.Spec.Env = nil, nil
	}
	return after, nil
}
