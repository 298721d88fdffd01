package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/orchard9/rdev/server/client"
)

// A printer writes what comes of a command in one of the output formats.
type printer interface {
	// begin is called once, before all else.
	begin(cmd client.Command) error
	// events takes lines and gaps as they come.
	events(events []client.Event) error
	// end is called once: with how the command ended, or with why that is not
	// known, or with neither if it has not ended.
	end(end *client.End, why error) error
}

func (a *app) printer() printer {
	switch a.config.Output {
	case "json":
		return &jsonPrinter{w: a.stdout}
	case "jsonl":
		return &jsonlPrinter{w: a.stdout}
	}
	return &textPrinter{a: a}
}

// A textPrinter gives the bytes of the command's outputs to our own, exactly.
// They are not made harmless for a terminal: like ssh, it shows what the
// command prints. --output jsonl escapes control characters.
type textPrinter struct {
	a    *app
	argv []string
	buf  []byte
}

func (p *textPrinter) begin(cmd client.Command) error {
	p.argv = cmd.Argv
	return nil
}

// events writes neighbouring lines of one output at once.
func (p *textPrinter) events(events []client.Event) error {
	for i := 0; i < len(events); {
		if gap := events[i].Gap; gap != nil {
			p.a.notice("lines %d to %d are gone (%s)", gap.From, gap.To, gap.Reason)
			i++
			continue
		}
		stream := events[i].Stream
		p.buf = p.buf[:0]
		for ; i < len(events) && events[i].Gap == nil && events[i].Stream == stream; i++ {
			p.buf = append(p.buf, events[i].Raw()...)
		}
		w := p.a.stdout
		if stream == client.Stderr {
			w = p.a.stderr
		}
		if _, err := w.Write(p.buf); err != nil {
			return err
		}
	}
	return nil
}

func (p *textPrinter) end(end *client.End, _ error) error {
	if end == nil {
		return nil
	}
	if end.Truncated {
		p.a.notice("the command printed more than the server keeps; the rest was thrown away")
	}
	switch {
	case end.State == client.TimedOut:
		p.a.notice("timed out after %s", millis(end.DurationMS))
	case end.State == client.Cancelled:
		p.a.notice("cancelled")
	case end.Code == client.CommandNotFound && len(p.argv) > 0:
		p.a.notice("there is no program %q there", p.argv[0])
	case end.Code == client.NotExecutable && len(p.argv) > 0:
		p.a.notice("%q cannot be executed", p.argv[0])
	case end.ExitCode == nil:
		p.a.notice("%s (%s)", plain(end.Message), string(end.Code))
	case end.Code == client.ClaudeError:
		p.a.notice("%s (%s)", plain(end.Message), string(end.Code))
	case end.State == client.Succeeded: // a claude may have been ended after its result
	case end.Signal != "":
		p.a.notice("ended by %s", end.Signal)
	}
	if c := end.Claude; c != nil {
		p.a.notice("%s", claudeLine(c))
	}
	return nil
}

// claudeLine sums up a run of claude.
func claudeLine(c *client.ClaudeResult) string {
	line := fmt.Sprintf("claude: %s, %d tokens in, %d out, %d from the cache, $%.4f",
		counted(c.Turns, "turn"), c.Usage.InputTokens+c.Usage.CacheWriteTokens, c.Usage.OutputTokens, c.Usage.CacheReadTokens, c.CostUSD)
	if c.SessionCostUSD > c.CostUSD {
		line += fmt.Sprintf(" ($%.4f in the session)", c.SessionCostUSD)
	}
	if c.Denials > 0 {
		line += "; " + counted(c.Denials, "use") + " of tools denied"
	}
	if c.SessionID != "" {
		line += "; go on with --session-id " + plain(c.SessionID)
	}
	return line
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// An eventLine is an event in JSON. The names are those of the API.
type eventLine struct {
	Event   string          `json:"event"`
	Command *client.Command `json:"command,omitempty"`

	Seq     uint64  `json:"seq,omitempty"`
	Stream  string  `json:"stream,omitempty"`
	Line    *string `json:"line,omitempty"`
	Partial bool    `json:"partial,omitempty"`
	Base64  string  `json:"base64,omitempty"` // the exact bytes, where line cannot hold them

	*client.Gap
	*endLine
}

// endLine is how a command ended. Exit codes from 124 on can be rdev's or the
// command's; here they are apart.
type endLine struct {
	State      client.State `json:"state,omitempty"`
	ExitCode   *int         `json:"exit_code"` // null: none was seen
	Signal     string       `json:"signal,omitempty"`
	DurationMS int64        `json:"duration_ms"`
	Truncated  bool         `json:"truncated,omitempty"`
	Code       client.Code  `json:"code,omitempty"`
	Message    string       `json:"message,omitempty"`

	Claude *client.ClaudeResult `json:"claude,omitempty"`
}

func lineOf(e client.Event) eventLine {
	if e.Gap != nil {
		return eventLine{Event: "gap", Gap: e.Gap}
	}
	text := string(e.Data)
	line := eventLine{Event: "output", Seq: e.Seq, Stream: e.Stream, Line: &text, Partial: e.Partial}
	if !utf8.Valid(e.Data) {
		line.Base64 = base64.StdEncoding.EncodeToString(e.Data)
	}
	return line
}

func endOf(end *client.End, why error) eventLine {
	switch {
	case end == nil && why == nil:
		return eventLine{Event: "running"}
	case end == nil:
		return eventLine{Event: "error", endLine: &endLine{Message: describe(why)}}
	}
	line := eventLine{Event: "complete", endLine: &endLine{
		State: end.State, ExitCode: end.ExitCode, Signal: end.Signal, DurationMS: end.DurationMS,
		Truncated: end.Truncated, Code: end.Code, Message: end.Message, Claude: end.Claude,
	}}
	if end.ExitCode == nil {
		line.Event = "error"
	}
	return line
}

// A jsonlPrinter writes a JSON object per line: the command, its events, its
// end.
type jsonlPrinter struct{ w io.Writer }

func (p *jsonlPrinter) begin(cmd client.Command) error {
	return writeJSON(p.w, eventLine{Event: "command", Command: &cmd})
}

func (p *jsonlPrinter) events(events []client.Event) error {
	for _, e := range events {
		if err := writeJSON(p.w, lineOf(e)); err != nil {
			return err
		}
	}
	return nil
}

func (p *jsonlPrinter) end(end *client.End, why error) error { return writeJSON(p.w, endOf(end, why)) }

// A jsonPrinter writes one JSON object that holds all, as it comes: no part of
// the output waits in memory.
type jsonPrinter struct {
	w     io.Writer
	lines int
}

func (p *jsonPrinter) begin(cmd client.Command) error {
	return p.write(`{"command":`, cmd, `,"events":[`)
}

func (p *jsonPrinter) events(events []client.Event) error {
	for _, e := range events {
		comma := ""
		if p.lines > 0 {
			comma = ","
		}
		p.lines++
		if err := p.write(comma, lineOf(e), ""); err != nil {
			return err
		}
	}
	return nil
}

func (p *jsonPrinter) end(end *client.End, why error) error {
	return p.write(`],"end":`, endOf(end, why), "}\n")
}

func (p *jsonPrinter) write(before string, v any, after string) error {
	if _, err := io.WriteString(p.w, before); err != nil {
		return err
	}
	if err := writeJSON(p.w, v); err != nil {
		return err
	}
	_, err := io.WriteString(p.w, after)
	return err
}
