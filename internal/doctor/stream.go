package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/orchard9/rdev/server/client"
	"github.com/orchard9/rdev/stream/sse"
)

const mendBuffering = "turn off buffering for /projects/*/events in the proxy in front of the server (nginx: proxy_buffering off), and compression with it"

// stream runs a command on the server that pauses between two events, and
// looks whether these come with the pause between. Where the policy does not
// let a shell print two lines, the events are the beginning of the stream and
// its end.
func (r *Report) stream(ctx context.Context, s Server, project string) {
	const check = "server-streaming"
	// A machine that is busy may deliver the first event late, once.
	var gap time.Duration
	for range 2 {
		cmd, first, last, err := s.pausing(ctx, project)
		var answer *client.Error
		switch {
		case errors.Is(err, client.Forbidden):
			r.Warn(check, "use a key with the scopes commands:shell and streams:read", "the key may not run a command in %s, so streaming was not tried", project)
			return
		case errors.As(err, &answer):
			r.Fail(check, "see what the message says", "no command can be run in %s: %s (%s)", project, answer.Message, answer.Code)
			return
		case err != nil:
			r.Fail(check, "see what the message says", "no command can be run in %s: %v", project, err)
			return
		}
		came, ended, err := s.arrivals(ctx, cmd)
		switch {
		case err != nil:
			r.Fail(check, "let the proxy in front of the server pass text/event-stream on", "the output of %s cannot be followed: %v", cmd.ID, err)
			return
		case ended.Code != "" && ended.Code != client.CommandNotFound:
			r.Fail(check, "mend what the message says, and try again", "a command in %s ended without an exit code: %s (%s)", project, ended.Message, string(ended.Code))
			return
		case came[first].IsZero() || came[last].IsZero():
			r.Warn(check, "install sh and sleep in it to have streaming tried", "the command that was to pause in %s did not: see rdev logs %s", project, cmd.ID)
			return
		}
		if gap = came[last].Sub(came[first]); gap >= pause/2 {
			r.Ok(check, "output comes from the server as it is printed")
			return
		}
	}
	r.Fail(check, mendBuffering, "streams are held back on their way from the server: what was printed %v apart came within %v", pause, gap.Round(time.Millisecond))
}

// pausing starts a command that pauses, and says between which events.
func (s Server) pausing(ctx context.Context, project string) (cmd client.Command, first, last string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerTimeout)
	defer cancel()
	options := &client.RunOptions{Timeout: commandTimeout}
	cmd, err = s.Client.RunShell(ctx, project, client.Shell{Argv: []string{"sh", "-c", pauseScript}}, options)
	if errors.Is(err, client.CommandRejected) {
		cmd, err = s.Client.RunShell(ctx, project, client.Shell{Argv: []string{"sleep", "1"}}, options)
		return cmd, "connected", "complete", err
	}
	return cmd, "output 1", "output 2", err
}

// arrivals follows a command to its end and returns when each event came: by
// its name, those of lines with their number.
func (s Server) arrivals(ctx context.Context, cmd client.Command) (came map[string]time.Time, ended client.End, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout+answerTimeout)
	defer cancel()
	address := fmt.Sprintf("%s/projects/%s/events?stream_id=%s", s.URL, url.PathEscape(cmd.Project), url.QueryEscape(cmd.ID))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, ended, err
	}
	request.Header.Set("Authorization", "Bearer "+s.Key)
	request.Header.Set("Accept", "text/event-stream")
	response, err := s.http().Do(request)
	if err != nil {
		return nil, ended, reason(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, ended, fmt.Errorf("the server answers %s", response.Status)
	}
	came = make(map[string]time.Time)
	for events, lines := sse.NewDecoder(response.Body, nil), 0; ; {
		event, err := events.Next()
		if err != nil {
			return nil, ended, fmt.Errorf("the stream broke off: %w", err)
		}
		name := event.Name
		if name == "output" {
			lines++
			name = fmt.Sprintf("output %d", lines)
		}
		came[name] = time.Now()
		if name == "complete" || name == "error" {
			_ = json.Unmarshal(event.Data, &ended) // what is not understood is not there
			return came, ended, nil
		}
	}
}
