package server

import (
	"net/http"
	"net/url"
	"time"

	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// commandData is a command in an answer.
type commandData struct {
	ID        string       `json:"id"`
	Project   string       `json:"project"`
	Type      policy.Type  `json:"type"`
	Policy    policy.Level `json:"policy"`
	Argv      []string     `json:"argv"`
	State     rdev.State   `json:"state"`
	KeyID     string       `json:"key_id"`
	StreamID  string       `json:"stream_id"`
	EventsURL string       `json:"events_url"`

	CreatedAt         time.Time `json:"created_at"`
	StartedAt         time.Time `json:"started_at,omitzero"`
	EndedAt           time.Time `json:"ended_at,omitzero"`
	WaitUntil         time.Time `json:"wait_until,omitzero"` // of one that waits for a place, or did
	CancelRequestedAt time.Time `json:"cancel_requested_at,omitzero"`

	Result *resultData `json:"result,omitzero"`
	Error  *causeData  `json:"error,omitzero"`
	// Claude is what claude reported, in the names of the core.
	Claude *rdev.ClaudeResult `json:"claude,omitzero"`
}

// resultData says how the process ended, if that was seen.
type resultData struct {
	ExitCode    int    `json:"exit_code"`
	Signal      string `json:"signal,omitzero"`
	DurationMS  int64  `json:"duration_ms"`
	Lines       uint64 `json:"lines"`
	StdoutBytes int64  `json:"stdout_bytes"`
	StderrBytes int64  `json:"stderr_bytes"`
	Truncated   bool   `json:"truncated,omitzero"`
	Survivors   []int  `json:"survivors,omitzero"`
}

// causeData says why there is no result, in a terminal state, or what claude
// reported.
type causeData struct {
	Code    rdev.Code `json:"code"`
	Message string    `json:"message"`
}

type commandsData struct {
	Commands   []commandData `json:"commands"`
	NextCursor string        `json:"next_cursor,omitzero"`
}

func (s *Server) commandDataOf(c rdev.Command) commandData {
	data := commandData{
		ID: c.ID, Project: c.Project, Type: c.Type, Policy: c.Policy, Argv: c.Argv, State: c.State, KeyID: c.KeyID,
		StreamID: c.StreamID(), EventsURL: s.eventsURL(c),
		CreatedAt: c.CreatedAt, StartedAt: c.StartedAt, EndedAt: c.EndedAt, CancelRequestedAt: c.CancelRequestedAt, WaitUntil: c.WaitUntil, Claude: c.Claude,
	}
	if r := c.Result; r != nil {
		data.Result = &resultData{
			ExitCode: r.ExitCode, Signal: r.Signal, DurationMS: r.Duration.Milliseconds(),
			Lines: r.Lines, StdoutBytes: r.StdoutBytes, StderrBytes: r.StderrBytes,
			Truncated: r.Truncated, Survivors: r.Survivors,
		}
	}
	if c.Code != "" {
		data.Error = &causeData{c.Code, c.Message}
	}
	return data
}

// commandURL and eventsURL need no escaping: ids and names of projects hold
// nothing that would need it.
func (s *Server) commandURL(c rdev.Command) string {
	return s.cfg.BasePath + "/projects/" + c.Project + "/commands/" + c.ID
}

func (s *Server) eventsURL(c rdev.Command) string {
	return s.cfg.BasePath + "/projects/" + c.Project + "/events?stream_id=" + url.QueryEscape(c.StreamID())
}

func (s *Server) listCommands(x *exchange) error {
	values, err := x.query("limit", "cursor", stateParam, "type")
	if err != nil {
		return err
	}
	opts := rdev.ListOptions{Project: x.project()}
	if opts.Cursor, opts.Limit, err = page(values); err != nil {
		return err
	}
	if opts.States, err = states(values[stateParam]); err != nil {
		return err
	}
	if opts.Type, err = commandType(values); err != nil {
		return err
	}
	found, err := s.svc.List(x.r.Context(), x.caller, opts)
	if err != nil {
		return err
	}
	data := commandsData{Commands: make([]commandData, len(found.Commands)), NextCursor: formatCursor(found.Next)}
	for i, c := range found.Commands {
		data.Commands[i] = s.commandDataOf(c)
	}
	return x.reply(http.StatusOK, data)
}

func (s *Server) getCommand(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	c, err := s.svc.Get(x.r.Context(), x.caller, x.project(), x.command())
	if err != nil {
		return err
	}
	return x.reply(http.StatusOK, s.commandDataOf(c))
}

type cancelBody struct {
	Force bool `json:"force"`
}

func (s *Server) cancelCommand(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	var body cancelBody
	if err := x.decode(&body); err != nil {
		return err
	}
	end := s.svc.Cancel
	if body.Force {
		end = s.svc.Kill
	}
	c, err := end(x.r.Context(), x.caller, x.project(), x.command())
	if err != nil {
		return err
	}
	return x.reply(http.StatusAccepted, s.commandDataOf(c))
}

func states(texts []string) ([]rdev.State, error) {
	var states []rdev.State
	for _, text := range texts {
		switch state := rdev.State(text); state {
		case rdev.StateQueued, rdev.StateRunning, rdev.StateSucceeded, rdev.StateFailed, rdev.StateCanceled, rdev.StateTimedOut, rdev.StateLost:
			states = append(states, state)
		default:
			return nil, invalid(stateParam, "is not a state of a command")
		}
	}
	return states, nil
}

func commandType(values url.Values) (policy.Type, error) {
	if !values.Has("type") {
		return "", nil
	}
	switch t := policy.Type(values.Get("type")); t {
	case policy.TypeClaude, policy.TypeShell, policy.TypeGit:
		return t, nil
	}
	return "", invalid("type", "is not claude, shell or git")
}
