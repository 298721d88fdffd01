package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// An AuditRow is a row of the audit log: what most want of it, and all of it.
type AuditRow struct {
	Seq       uint64
	Time      time.Time
	Event     string // "command.intent", for example
	KeyID     string
	KeyName   string
	Addr      string
	Project   string
	CommandID string
	// JSON is the row as it came, with everything that its hash covers.
	JSON json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *AuditRow) UnmarshalJSON(b []byte) error {
	var row struct {
		Seq       uint64    `json:"seq"`
		Time      time.Time `json:"time"`
		Event     string    `json:"event"`
		KeyID     string    `json:"key_id"`
		KeyName   string    `json:"key_name"`
		Addr      string    `json:"addr"`
		Project   string    `json:"project"`
		CommandID string    `json:"command_id"`
	}
	if err := json.Unmarshal(b, &row); err != nil {
		return err
	}
	*r = AuditRow{row.Seq, row.Time, row.Event, row.KeyID, row.KeyName, row.Addr, row.Project, row.CommandID, append(json.RawMessage(nil), b...)}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (r AuditRow) MarshalJSON() ([]byte, error) { return r.JSON, nil }

// An AuditPage is a part of the audit log.
type AuditPage struct {
	Rows []AuditRow `json:"rows"`
	// Head is where the log ends; nil for a key that does not see all of it.
	Head       *AuditHead `json:"head,omitempty"`
	NextCursor string     `json:"next_cursor,omitempty"` // empty on the last page
}

// An AuditHead is the number and the hash of the newest row.
type AuditHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// AuditOptions select rows of the audit log. The zero value selects all, newest
// first.
type AuditOptions struct {
	Project     string
	Key         string
	Since       time.Time
	OldestFirst bool
	Cursor      string
	Limit       int
}

// Audit returns a page of the audit log. For a key that does not see every
// project a page may be empty though more follow.
func (c *Client) Audit(ctx context.Context, opts AuditOptions) (AuditPage, error) {
	query := pageQuery(opts.Cursor, opts.Limit)
	if query == nil {
		query = url.Values{}
	}
	if opts.Project != "" {
		query.Set("project", opts.Project)
	}
	if opts.Key != "" {
		query.Set("key", opts.Key)
	}
	if !opts.Since.IsZero() {
		query.Set("since", opts.Since.UTC().Format(time.RFC3339Nano))
	}
	if opts.OldestFirst {
		query.Set("order", "oldest")
	}
	var page AuditPage
	err := c.do(ctx, call{method: http.MethodGet, path: "/audit" + encodeQuery(query), again: true}, &page)
	return page, err
}
