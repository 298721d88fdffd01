package sqlite

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// record is a rdev.Command as the column body has it. The names are stored:
// they do not change.
type record struct {
	ID                string             `json:"id"`
	Project           string             `json:"project"`
	Type              policy.Type        `json:"type"`
	Policy            policy.Level       `json:"policy,omitempty"`
	Argv              []string           `json:"argv"`
	State             rdev.State         `json:"state"`
	KeyID             string             `json:"key_id"`
	From              netip.Addr         `json:"from,omitzero"`
	CreatedAt         time.Time          `json:"created_at"`
	StartedAt         time.Time          `json:"started_at,omitzero"`
	EndedAt           time.Time          `json:"ended_at,omitzero"`
	CancelRequestedAt time.Time          `json:"cancel_requested_at,omitzero"`
	WaitUntil         time.Time          `json:"wait_until,omitzero"`
	Result            *exec.Result       `json:"result,omitempty"`
	Claude            *rdev.ClaudeResult `json:"claude,omitempty"`
	Code              rdev.Code          `json:"code,omitempty"`
	Message           string             `json:"message,omitempty"`
	IdempotencyKey    string             `json:"idempotency_key,omitempty"`
	RequestDigest     string             `json:"request_digest,omitempty"`
	RequestID         string             `json:"request_id,omitempty"`
	Trace             rdev.Trace         `json:"trace,omitzero"`
	Spec              exec.Command       `json:"spec"`
	// Stdin stands beside Spec, which cannot tell an empty one from none.
	Stdin []byte `json:"stdin"`
}

func encodeRecord(c rdev.Command) ([]byte, error) {
	r := record{
		ID: c.ID, Project: c.Project, Type: c.Type, Policy: c.Policy, Argv: c.Argv, State: c.State, KeyID: c.KeyID, From: c.From,
		CreatedAt: stored(c.CreatedAt), StartedAt: stored(c.StartedAt), EndedAt: stored(c.EndedAt),
		CancelRequestedAt: stored(c.CancelRequestedAt), WaitUntil: stored(c.WaitUntil),
		Claude: c.Claude, Code: c.Code, Message: c.Message,
		IdempotencyKey: c.IdempotencyKey, RequestDigest: c.RequestDigest,
		RequestID: c.RequestID, Trace: c.Trace,
		Spec: c.Spec, Stdin: c.Spec.Stdin,
	}
	r.Spec.Stdin = nil
	if c.Result != nil {
		result := *c.Result
		result.Started, result.Ended = stored(result.Started), stored(result.Ended)
		r.Result = &result
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return body, nil
}

func decodeRecord(body []byte) (rdev.Command, error) {
	var r record
	if err := json.Unmarshal(body, &r); err != nil {
		return rdev.Command{}, fmt.Errorf("decode record: %w", err)
	}
	c := rdev.Command{
		ID: r.ID, Project: r.Project, Type: r.Type, Policy: r.Policy, Argv: r.Argv, State: r.State, KeyID: r.KeyID, From: r.From,
		CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, EndedAt: r.EndedAt, CancelRequestedAt: r.CancelRequestedAt, WaitUntil: r.WaitUntil,
		Result: r.Result, Claude: r.Claude, Code: r.Code, Message: r.Message,
		IdempotencyKey: r.IdempotencyKey, RequestDigest: r.RequestDigest,
		RequestID: r.RequestID, Trace: r.Trace,
		Spec: r.Spec,
	}
	c.Spec.Stdin = r.Stdin
	return c, nil
}

// stored returns the time as it is kept: in UTC, to the microsecond.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
