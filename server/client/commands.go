package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Command is the record of a command.
type Command struct {
	ID        string   `json:"id"`
	Project   string   `json:"project"`
	Type      string   `json:"type"`   // claude, shell or git
	Policy    string   `json:"policy"` // the level that allowed it: strict, restricted or permissive
	Argv      []string `json:"argv"`
	State     State    `json:"state"`
	KeyID     string   `json:"key_id"`
	StreamID  string   `json:"stream_id"`
	EventsURL string   `json:"events_url"` // relative to the server

	CreatedAt         time.Time `json:"created_at"`
	StartedAt         time.Time `json:"started_at,omitzero"`
	EndedAt           time.Time `json:"ended_at,omitzero"`
	CancelRequestedAt time.Time `json:"cancel_requested_at,omitzero"`
	WaitUntil         time.Time `json:"wait_until,omitzero"` // of one that waits for a place, or did

	// Result says how the process ended, nil as long as that was not seen.
	Result *Result `json:"result,omitempty"`
	// Error says why there is no Result, in a terminal state; with a Result,
	// that claude reported an error (ClaudeError).
	Error *Cause `json:"error,omitempty"`
	// Claude is what claude reported of its run, nil if it did not.
	Claude *ClaudeResult `json:"claude,omitempty"`
}

// State is where a command is in its life.
type State string

// The states. All but the first two are ends.
const (
	Queued    State = "queued"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "canceled"
	TimedOut  State = "timed_out"
	Lost      State = "lost"
)

// Terminal reports whether s is an end.
func (s State) Terminal() bool { return s != Queued && s != Running && s != "" }

// A Result says how a process ended.
type Result struct {
	ExitCode    int    `json:"exit_code"` // -1 if a signal ended it
	Signal      string `json:"signal,omitempty"`
	DurationMS  int64  `json:"duration_ms"`
	Lines       uint64 `json:"lines"`
	StdoutBytes int64  `json:"stdout_bytes"`
	StderrBytes int64  `json:"stderr_bytes"`
	Truncated   bool   `json:"truncated,omitempty"`
	Survivors   []int  `json:"survivors,omitempty"`
}

// A Cause says why a command has no Result.
type Cause struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// ListOptions select commands. The zero value selects all.
type ListOptions struct {
	States []State
	Type   string
	Cursor string // the NextCursor of the page before
	Limit  int    // 1 to 200; defaults to the server's choice
}

// A CommandPage is a part of a list, newest first.
type CommandPage struct {
	Commands   []Command `json:"commands"`
	NextCursor string    `json:"next_cursor,omitempty"` // empty on the last page
}

// Commands returns a page of the project's commands, newest first.
func (c *Client) Commands(ctx context.Context, project string, opts ListOptions) (CommandPage, error) {
	query := pageQuery(opts.Cursor, opts.Limit)
	for _, state := range opts.States {
		query.Add("state", string(state))
	}
	if opts.Type != "" {
		query.Set("type", opts.Type)
	}
	var page CommandPage
	err := c.do(ctx, call{method: http.MethodGet, path: projectPath(project) + "/commands" + encodeQuery(query), again: true}, &page)
	return page, err
}

// Command returns one command. UnknownCommand if the project has no such one.
func (c *Client) Command(ctx context.Context, project, id string) (Command, error) {
	var cmd Command
	err := c.do(ctx, call{method: http.MethodGet, path: commandPath(project, id), again: true}, &cmd)
	return cmd, err
}

// Cancel asks for the end of a command and does not wait for it: Follow does.
// It is idempotent.
func (c *Client) Cancel(ctx context.Context, project, id string) (Command, error) {
	var cmd Command
	err := c.do(ctx, call{method: http.MethodPost, path: commandPath(project, id) + "/cancel", again: true}, &cmd)
	return cmd, err
}

// Kill is Cancel without a grace period, also for a command in the middle of
// it.
func (c *Client) Kill(ctx context.Context, project, id string) (Command, error) {
	var cmd Command
	body := map[string]bool{"force": true}
	err := c.do(ctx, call{method: http.MethodPost, path: commandPath(project, id) + "/cancel", body: body, again: true}, &cmd)
	return cmd, err
}

func commandPath(project, id string) string {
	return projectPath(project) + "/commands/" + url.PathEscape(id)
}

func pageQuery(cursor string, limit int) url.Values {
	query := url.Values{}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return query
}

func encodeQuery(query url.Values) string {
	if len(query) == 0 {
		return ""
	}
	return "?" + query.Encode()
}
