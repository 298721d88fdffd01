package claudetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// What every answer of the API reports to have used.
const (
	InputTokens      = 100
	OutputTokens     = 20
	CacheReadTokens  = 7
	CacheWriteTokens = 3
)

// API is a stand-in for the API that claude talks to, as far as claude -p needs
// it. The last line of the prompt that begins with one of these words says what
// it answers:
//
//	say TEXT      the text
//	bash COMMAND  a use of the tool Bash, and once that has a result, the text
//	              "tool said: " and the result
//	loop COMMAND  a use of Bash, again and again
//	fail STATUS   an error with this HTTP status
//	stall         nothing, until the client is gone
type API struct {
	// Requests counts the messages that were asked for.
	Requests atomic.Int64
	ids      atomic.Int64
}

// maxRequest bounds what is read of a request.
const maxRequest = 32 << 20

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

type block struct {
	Type    string          `json:"type"`
	Text    string          `json:"text"`
	Content json.RawMessage `json:"content"`
}

// ServeHTTP answers HEAD and GET of / with 200, and posts to /v1/messages and
// /v1/messages/count_tokens.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/messages/count_tokens":
		reply(w, http.StatusOK, map[string]any{"input_tokens": InputTokens})
	case r.Method == http.MethodPost && r.URL.Path == "/v1/messages":
		a.Requests.Add(1)
		a.message(w, r)
	case r.Method == http.MethodPost:
		fail(w, http.StatusNotFound)
	}
}

func (a *API) message(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Model    string    `json:"model"`
		Stream   bool      `json:"stream"`
		Messages []message `json:"messages"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxRequest)).Decode(&request); err != nil {
		fail(w, http.StatusBadRequest)
		return
	}
	order, results := orderIn(request.Messages)
	verb, rest, _ := strings.Cut(order, " ")
	content := map[string]any{"type": "text", "text": "ok"}
	switch {
	case verb == "say":
		content["text"] = rest
	case verb == "bash" && len(results) > 0:
		content["text"] = "tool said: " + results[len(results)-1]
	case verb == "bash", verb == "loop":
		content = map[string]any{
			"type": "tool_use", "id": fmt.Sprintf("toolu_%d", a.ids.Add(1)), "name": "Bash",
			"input": map[string]any{"command": rest, "description": "as told"},
		}
	case verb == "fail":
		var status int
		_, _ = fmt.Sscan(rest, &status)
		fail(w, status)
		return
	case verb == "stall":
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Minute):
		}
		return
	}
	a.send(w, request.Model, request.Stream, content)
}

// send answers with one block of content, as events if the client streams.
func (a *API) send(w http.ResponseWriter, model string, stream bool, content map[string]any) {
	stop := "end_turn"
	if content["type"] == "tool_use" {
		stop = "tool_use"
	}
	usage := map[string]any{
		"input_tokens": InputTokens, "output_tokens": OutputTokens,
		"cache_read_input_tokens": CacheReadTokens, "cache_creation_input_tokens": CacheWriteTokens,
	}
	whole := map[string]any{
		"id": fmt.Sprintf("msg_%d", a.ids.Add(1)), "type": "message", "role": "assistant", "model": model,
		"content": []any{content}, "stop_reason": stop, "stop_sequence": nil, "usage": usage,
	}
	if !stream {
		reply(w, http.StatusOK, whole)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(kind string, data map[string]any) {
		data["type"] = kind
		b, _ := json.Marshal(data) // of maps, strings and numbers
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, b)
	}
	whole["content"], whole["stop_reason"] = []any{}, nil
	event("message_start", map[string]any{"message": whole})
	empty, delta := map[string]any{"type": "text", "text": ""}, map[string]any{"type": "text_delta", "text": content["text"]}
	if stop == "tool_use" {
		input, _ := json.Marshal(content["input"])
		empty = map[string]any{"type": "tool_use", "id": content["id"], "name": content["name"], "input": map[string]any{}}
		delta = map[string]any{"type": "input_json_delta", "partial_json": string(input)}
	}
	event("content_block_start", map[string]any{"index": 0, "content_block": empty})
	event("content_block_delta", map[string]any{"index": 0, "delta": delta})
	event("content_block_stop", map[string]any{"index": 0})
	event("message_delta", map[string]any{"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": usage})
	event("message_stop", map[string]any{})
}

// orderIn returns the last order in the messages of the user, and the results of
// tools that came after it.
func orderIn(messages []message) (order string, results []string) {
	for _, m := range messages {
		if m.Role != "user" {
			continue
		}
		for _, b := range blocksOf(m.Content) {
			switch b.Type {
			case "text":
				for line := range strings.SplitSeq(b.Text, "\n") {
					switch verb, _, _ := strings.Cut(line, " "); verb {
					case "say", "bash", "loop", "fail", "stall":
						order, results = line, nil
					}
				}
			case "tool_result":
				results = append(results, textOf(b.Content))
			}
		}
	}
	return order, results
}

// blocksOf reads content, which is a string or a list of blocks.
func blocksOf(content json.RawMessage) []block {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return []block{{Type: "text", Text: text}}
	}
	var blocks []block
	_ = json.Unmarshal(content, &blocks) // none, if it is neither
	return blocks
}

func textOf(content json.RawMessage) string {
	var b strings.Builder
	for _, part := range blocksOf(content) {
		b.WriteString(part.Text)
	}
	return b.String()
}

func reply(w http.ResponseWriter, status int, data any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(data) // the client may be gone
}

func fail(w http.ResponseWriter, status int) {
	reply(w, status, map[string]any{
		"type": "error", "error": map[string]any{"type": "invalid_request_error", "message": "the stand-in was told to fail"},
	})
}
