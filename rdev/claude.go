package rdev

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/internal/claudeout"
	"github.com/orchard9/rdev/internal/mask"
)

// ClaudeResult is what claude said of a run in its result event. The costs are
// claude's own estimates in US dollars, and no bill.
type ClaudeResult struct {
	// Subtype is success, error_max_turns, error_during_execution and the
	// like, "unknown" if it is no plain word. IsError may be true with each.
	Subtype string `json:"subtype"`
	IsError bool   `json:"is_error"`
	// SessionID resumes the session (policy.Claude.SessionID), empty if it was
	// not said.
	SessionID string `json:"session_id,omitempty"`
	Turns     int    `json:"turns"`
	// Denials counts the uses of tools that nobody allowed.
	Denials int `json:"permission_denials"`
	// Usage and CostUSD are what this command added: tokens of all models,
	// sub-agents included.
	Usage   ClaudeUsage `json:"usage"`
	CostUSD float64     `json:"cost_usd"`
	// SessionUsage and SessionCostUSD are the totals of the session after this
	// command, as far as the records of the project know it.
	SessionUsage   ClaudeUsage `json:"session_usage"`
	SessionCostUSD float64     `json:"session_cost_usd"`
}

// ClaudeUsage counts tokens.
type ClaudeUsage struct {
	InputTokens      int64 `json:"input_tokens"`
	OutputTokens     int64 `json:"output_tokens"`
	CacheReadTokens  int64 `json:"cache_read_tokens"`
	CacheWriteTokens int64 `json:"cache_write_tokens"`
}

// wantsResult reports whether the command is a run of claude that rdev planned:
// one that ends with a result event.
func (c *Command) wantsResult() bool {
	return c.Type == policy.TypeClaude && slices.Contains(c.Spec.Argv, "stream-json")
}

// errAfterResult ends a claude that goes on after its result.
var errAfterResult = errors.New("rdev: claude did not exit after its result")

// A claudeWatch follows the output of a claude, as it came: a secret in it may not
// keep a result from being one. It has no lock: lines come one batch at a time,
// and it is asked when all have.
type claudeWatch struct {
	reader claudeout.Reader
	heard  uint64 // Seq of the last line
	masks  *mask.Set
	grace  time.Duration
	hung   *time.Timer // runs once there was a result
	cancel func()
}

// newWatch returns nil for commands that are not to end with a result.
func (w *worker) newWatch() *claudeWatch {
	if !w.cmd.wantsResult() {
		return nil
	}
	return &claudeWatch{masks: w.masking.set, grace: w.s.cfg.ClaudeGrace, cancel: func() { w.cancel(errAfterResult) }}
}

// lines takes what claude printed, each line once. Whatever it prints after a
// result may lead to another one, so the time until it must exit begins anew.
func (c *claudeWatch) lines(lines []exec.Line) {
	if c == nil {
		return
	}
	for len(lines) > 0 && lines[0].Seq <= c.heard {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return
	}
	c.heard = lines[len(lines)-1].Seq
	printed := false
	for i := range lines {
		if lines[i].Stream == exec.Stdout {
			c.reader.Add(lines[i].Data, lines[i].Partial)
			printed = true
		}
	}
	if _, seen := c.reader.Result(); !seen || !printed {
		return
	}
	if c.hung == nil {
		c.hung = time.AfterFunc(c.grace, c.cancel)
		return
	}
	c.hung.Reset(c.grace)
}

// result returns what claude reported, without secrets: there is no text in it
// but two words, and a secret may have the form of either.
func (c *claudeWatch) result() (claudeout.Result, bool) {
	result, seen := c.reader.Result()
	if c.masks.String(result.Subtype) != result.Subtype {
		result.Subtype = "unknown"
	}
	if c.masks.String(result.SessionID) != result.SessionID {
		result.SessionID = ""
	}
	return result, seen
}

// stop ends the timer. What claude printed last is a line, newline or not.
func (c *claudeWatch) stop() {
	if c == nil {
		return
	}
	if c.hung != nil {
		c.hung.Stop()
	}
	c.reader.End()
}

// judge corrects how a claude ended by its result: only that says whether it
// did what it was asked to. An exit code of 0 says nothing, and a claude that
// was ended because it hung after its result has done its work.
func (c *claudeWatch) judge(o outcome, canceled bool) outcome {
	if c == nil || o.Result == nil {
		return o
	}
	result, seen := c.result()
	switch {
	case o.State == StateCanceled && seen && !canceled:
		o.State = StateSucceeded
	case o.State != StateSucceeded && o.State != StateFailed:
		return o
	case !seen && o.State == StateSucceeded:
		o.State, o.Code, o.Message = StateFailed, CodeClaudeError, "claude exited without a result"
		return o
	}
	if !seen || result.OK() {
		return o
	}
	o.State, o.Code, o.Message = StateFailed, CodeClaudeError, fmt.Sprintf("claude ended with %s after %d turns", result.Subtype, result.Turns)
	if result.OK() || result.Subtype == "success" {
		o.Message = fmt.Sprintf("claude reported an error after %d turns", result.Turns)
	}
	if result.APIStatus != 0 {
		o.Message += fmt.Sprintf("; the API answered %d", result.APIStatus)
	}
	return o
}

// claudeResultOf turns what claude reported into what this command added.
// known is the newest total of its session, nil if there is none.
//
// The totals of a resumed session count from its beginning in some versions of
// claude, and from its resumption in others. They are taken for the former if
// they hold all that is known of the session and, on top of it, what the
// conversation of this run used.
func claudeResultOf(r claudeout.Result, known *ClaudeResult) *ClaudeResult {
	result := &ClaudeResult{
		Subtype: r.Subtype, IsError: r.IsError, SessionID: r.SessionID, Turns: r.Turns, Denials: r.Denials,
		Usage: usageOf(r.Models), CostUSD: roundCost(r.CostUSD),
	}
	result.SessionUsage, result.SessionCostUSD = result.Usage, result.CostUSD
	if known == nil {
		return result
	}
	before := tokensOf(known.SessionUsage)
	if r.CostUSD >= known.SessionCostUSD && r.Models.Covers(before.Plus(r.Usage)) {
		result.Usage = usageOf(r.Models.Minus(before))
		result.CostUSD = roundCost(r.CostUSD - known.SessionCostUSD)
		return result
	}
	result.SessionUsage = usageOf(r.Models.Plus(before))
	result.SessionCostUSD = roundCost(r.CostUSD + known.SessionCostUSD)
	return result
}

// roundCost takes away what sums of binary fractions add.
func roundCost(usd float64) float64 { return math.Round(usd*1e9) / 1e9 }

func usageOf(t claudeout.Tokens) ClaudeUsage {
	return ClaudeUsage{t.Input, t.Output, t.CacheRead, t.CacheWrite}
}

func tokensOf(u ClaudeUsage) claudeout.Tokens {
	return claudeout.Tokens{Input: u.InputTokens, Output: u.OutputTokens, CacheRead: u.CacheReadTokens, CacheWrite: u.CacheWriteTokens}
}
