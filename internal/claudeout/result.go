package claudeout

import (
	"encoding/json"
	"math"
	"strings"
)

// A Result is what a result event says. Nothing in it is free text.
type Result struct {
	Subtype   string // success, error_max_turns, …; "unknown" if it is no plain word
	IsError   bool
	APIStatus int    // of the API's last answer, if that was an error, else 0
	SessionID string // a UUID, or empty
	Turns     int
	Denials   int // uses of tools that nobody allowed
	// Usage is what the conversation of this run used.
	Usage Tokens
	// Models is what all models used, sub-agents included, and CostUSD what
	// claude takes that to cost. Some versions of claude count a resumed session
	// from its beginning here, others from its resumption.
	Models  Tokens
	CostUSD float64
}

// OK reports whether the run did what it was asked to, as far as claude knows.
func (r Result) OK() bool { return r.Subtype == "success" && !r.IsError }

// Tokens are counts of tokens.
type Tokens struct {
	Input      int64 `json:"input_tokens"`
	Output     int64 `json:"output_tokens"`
	CacheRead  int64 `json:"cache_read_tokens"`
	CacheWrite int64 `json:"cache_write_tokens"`
}

// Plus returns the sums.
func (t Tokens) Plus(o Tokens) Tokens {
	return Tokens{t.Input + o.Input, t.Output + o.Output, t.CacheRead + o.CacheRead, t.CacheWrite + o.CacheWrite}
}

// Minus returns the differences.
func (t Tokens) Minus(o Tokens) Tokens {
	return Tokens{t.Input - o.Input, t.Output - o.Output, t.CacheRead - o.CacheRead, t.CacheWrite - o.CacheWrite}
}

// Covers reports whether no count is below that of o.
func (t Tokens) Covers(o Tokens) bool {
	return t.Input >= o.Input && t.Output >= o.Output && t.CacheRead >= o.CacheRead && t.CacheWrite >= o.CacheWrite
}

// result makes a Result of the line, if it is one.
func (s *scanner) result() (Result, bool) {
	if s.state != closed || s.overflow || s.kept["type"] == nil {
		return Result{}, false
	}
	var usage struct {
		Input      float64 `json:"input_tokens"`
		Output     float64 `json:"output_tokens"`
		CacheRead  float64 `json:"cache_read_input_tokens"`
		CacheWrite float64 `json:"cache_creation_input_tokens"`
	}
	var models map[string]struct {
		Input      float64 `json:"inputTokens"`
		Output     float64 `json:"outputTokens"`
		CacheRead  float64 `json:"cacheReadInputTokens"`
		CacheWrite float64 `json:"cacheCreationInputTokens"`
	}
	var subtype, session string
	var turns, cost, status float64
	r := Result{Denials: s.elements}
	s.read("subtype", &subtype)
	s.read("session_id", &session)
	s.read("is_error", &r.IsError)
	s.read("num_turns", &turns)
	s.read("total_cost_usd", &cost)
	s.read("api_error_status", &status)
	s.read("usage", &usage)
	s.read("modelUsage", &models)
	r.Subtype = "unknown"
	if subtype != "" && len(subtype) <= 64 && strings.Trim(subtype, "abcdefghijklmnopqrstuvwxyz_") == "" {
		r.Subtype = subtype
	}
	if isUUID(session) {
		r.SessionID = strings.ToLower(session)
	}
	r.Turns, r.CostUSD, r.APIStatus = int(count(turns)), min(max(cost, 0), maxCost), int(count(status))
	r.Usage = Tokens{count(usage.Input), count(usage.Output), count(usage.CacheRead), count(usage.CacheWrite)}
	for _, m := range models {
		r.Models = r.Models.Plus(Tokens{count(m.Input), count(m.Output), count(m.CacheRead), count(m.CacheWrite)})
	}
	if r.Models == (Tokens{}) {
		r.Models = r.Usage
	}
	return r, true
}

// read reads a value that was kept; one of another type is as one that is not
// there.
func (s *scanner) read(key string, into any) { _ = json.Unmarshal(s.kept[key], into) }

const (
	maxCount = 1 << 40 // sums of a thousand of them do not overflow
	maxCost  = 1e9
)

// count bounds a number of a stranger.
func count(n float64) int64 { return int64(math.Min(math.Max(n, 0), maxCount)) }

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if strings.IndexByte("0123456789abcdefABCDEF", s[i]) < 0 {
			return false
		}
	}
	return true
}
