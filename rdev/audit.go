package rdev

import (
	"context"
	"net/netip"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
)

// An AuditEvent says what a row of the audit log tells of. Events are part of
// the API: they are stored, sent and never renamed.
type AuditEvent string

// The events.
const (
	AuditCommandIntent  AuditEvent = "command.intent"  // a command was recorded and is about to run
	AuditCommandOutcome AuditEvent = "command.outcome" // how it ended
	AuditCommandCancel  AuditEvent = "command.cancel"  // its end was asked for
	AuditCommandKill    AuditEvent = "command.kill"    // likewise, without a grace period
	AuditKeyCreate      AuditEvent = "key.create"
	AuditKeyRotate      AuditEvent = "key.rotate"
	AuditKeyNarrow      AuditEvent = "key.narrow"
	AuditKeyRevoke      AuditEvent = "key.revoke"
	AuditRefused        AuditEvent = "refused"      // a request that was not allowed
	AuditRefusedMore    AuditEvent = "refused.more" // Count of them, which have no row of their own
	AuditPruned         AuditEvent = "audit.pruned" // rows up to Through were removed because of their age
	AuditUnreadable     AuditEvent = "unreadable"   // the row is damaged
)

// An AuditEntry is what a row of the audit log says, before it has its place in
// the log. No prompt, no value of an environment variable and no secret is in
// it. Fields are only ever added, at the end of their struct.
type AuditEntry struct {
	Event AuditEvent `json:"event"`

	// Who asked, from where, in which request. The address is empty where it
	// is not known.
	KeyID     string `json:"key_id,omitempty"`
	KeyName   string `json:"key_name,omitempty"`
	Addr      string `json:"addr,omitempty"`
	RequestID string `json:"request_id,omitempty"`

	// What: the command. Argv is masked and cut; ArgvSHA256 is AuditArgvDigest
	// of what runs. Env are names.
	Project    string       `json:"project,omitempty"`
	CommandID  string       `json:"command_id,omitempty"`
	Type       policy.Type  `json:"type,omitempty"`
	Level      policy.Level `json:"level,omitempty"`
	Argv       []string     `json:"argv,omitempty"`
	ArgvSHA256 string       `json:"argv_sha256,omitempty"`
	Env        []string     `json:"env,omitempty"`
	Dir        string       `json:"cwd,omitempty"`

	// Key is the key that was made or changed, Stage whether that is about to
	// be ("intent"), was ("done"), or failed ("failed").
	Stage string    `json:"stage,omitempty"`
	Key   *AuditKey `json:"key,omitempty"`

	// How it ended, or why it was refused. Reason is the rule of the policy, or
	// why the key does not work. Action is what was asked for.
	State  State  `json:"state,omitempty"`
	Code   Code   `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	Action string `json:"action,omitempty"`
	// Count is how many were refused, with AuditRefusedMore.
	Count uint64 `json:"count,omitempty"`

	Result *AuditResult `json:"result,omitempty"`

	// Through and ThroughHash are the last row that was removed, with
	// AuditPruned.
	Through     uint64     `json:"through,omitempty"`
	ThroughHash *AuditHash `json:"through_hash,omitempty"`
}

// An AuditKey is what an entry tells of a key.
type AuditKey struct {
	ID        string         `json:"id"`
	Name      string         `json:"name,omitempty"`
	Scopes    []auth.Scope   `json:"scopes,omitempty"`
	Projects  []auth.Pattern `json:"projects,omitempty"`
	Policy    string         `json:"policy,omitempty"`
	ExpiresAt time.Time      `json:"expires_at,omitzero"`
	// AllowedAddresses are where it works from, empty for anywhere.
	AllowedAddresses []netip.Prefix `json:"allowed_addresses,omitempty"`
	// Replaces is the key that this one takes the place of, which works until
	// ReplacedUntil.
	Replaces      string    `json:"replaces,omitempty"`
	ReplacedUntil time.Time `json:"replaced_until,omitzero"`
}

// An AuditResult is how a process ended, if that was seen.
type AuditResult struct {
	ExitCode    int    `json:"exit_code"`
	Signal      string `json:"signal,omitempty"`
	DurationMS  int64  `json:"duration_ms"`
	Lines       uint64 `json:"lines"`
	StdoutBytes int64  `json:"stdout_bytes"`
	StderrBytes int64  `json:"stderr_bytes"`
	Truncated   bool   `json:"truncated,omitempty"`
}

// An AuditRow is an entry with its place in the log. Rows are numbered from 1
// without holes, and Hash covers everything in the row and the Hash of the row
// before: see AuditRecord.
type AuditRow struct {
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"` // of the store's clock; never before that of an earlier row
	AuditEntry
	Prev AuditHash `json:"prev"`
	Hash AuditHash `json:"hash"`

	record AuditRecord // as it was read
	damage string      // why it cannot be what was written; empty for a sound row
}

// An AuditHead is where the log ends, and where it begins.
type AuditHead struct {
	Seq  uint64    // of the newest row, zero for an empty log
	Hash AuditHash // of that row
	// PrunedSeq and PrunedHash are the last row that was removed because of its
	// age, zero if there is none.
	PrunedSeq  uint64
	PrunedHash AuditHash
}

// Audit is the port through which a Service keeps its audit log. Its contract
// suite is rdev/rdevtest.Audit. The Commands of the same store append what
// Command.Audit holds in the transaction that stores the record: if that cannot
// be, the record is not stored either.
//
// All methods are safe for concurrent use. Several processes that append to one
// log build one chain.
type Audit interface {
	// Append adds the entries at the end, in their order, all or none.
	Append(ctx context.Context, entries ...AuditEntry) error
	// List returns up to limit rows that match.
	List(ctx context.Context, filter AuditFilter, limit int) ([]AuditRow, error)
	// Head returns the ends of the log.
	Head(ctx context.Context) (AuditHead, error)
	// Prune removes up to limit of the oldest rows from before that time, never
	// the newest one, and appends an AuditPruned in the same transaction if it
	// removed any. It returns how many it removed.
	Prune(ctx context.Context, before time.Time, limit int) (int, error)
}

// An AuditFilter selects rows. Its zero value selects all, newest first.
type AuditFilter struct {
	Project string // of this project
	KeyID   string // of what this key did, or was refused
	Since   time.Time
	// After and Before select rows above and below a number.
	After, Before uint64
	OldestFirst   bool
}
