package client

// A ClaudeResult is what claude reported of a run. The costs are claude's own
// estimates in US dollars.
type ClaudeResult struct {
	Subtype   string `json:"subtype"` // success, error_max_turns, …
	IsError   bool   `json:"is_error"`
	SessionID string `json:"session_id,omitempty"` // for Claude.SessionID, to go on
	Turns     int    `json:"turns"`
	Denials   int    `json:"permission_denials"` // uses of tools that nobody allowed

	// What this command added, and the totals of the session after it.
	Usage          ClaudeUsage `json:"usage"`
	CostUSD        float64     `json:"cost_usd"`
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
