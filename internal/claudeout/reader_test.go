package claudeout_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/claudeout"
)

const session = "6e57a40c-ddd5-4d35-a23b-5453186726bb"

// line is a result as claude 2.1 prints it, shortened.
const line = `{"type":"result","subtype":"success","is_error":false,"api_error_status":null,"num_turns":2,"result":"a \"quoted\" text","session_id":"` + session + `",` +
	`"total_cost_usd":0.00204,"usage":{"input_tokens":200,"cache_creation_input_tokens":6,"cache_read_input_tokens":14,"output_tokens":40,"server_tool_use":{"web_search_requests":0}},` +
	`"modelUsage":{"a":{"inputTokens":200,"outputTokens":40,"cacheReadInputTokens":14,"cacheCreationInputTokens":6,"costUSD":0.002},"b":{"inputTokens":1,"outputTokens":2}},` +
	`"permission_denials":[{"tool_name":"Bash","tool_input":{"command":["x","y"]}},{"tool_name":"Edit"}],"terminal_reason":"completed"}`

func read(lines ...string) (claudeout.Result, bool) {
	var r claudeout.Reader
	for _, l := range lines {
		r.Add([]byte(l), false)
	}
	return r.Result()
}

func TestResultIsRead(t *testing.T) {
	is := is.New(t)
	got, ok := read(`{"type":"system","subtype":"init","session_id":"x"}`, line)
	is.True(ok)
	is.True(got.OK())
	is.Equal(got, claudeout.Result{
		Subtype: "success", SessionID: session, Turns: 2, Denials: 2, CostUSD: 0.00204,
		Usage:  claudeout.Tokens{Input: 200, Output: 40, CacheRead: 14, CacheWrite: 6},
		Models: claudeout.Tokens{Input: 201, Output: 42, CacheRead: 14, CacheWrite: 6},
	})
}

func TestAnyCutGivesTheSameResult(t *testing.T) {
	is := is.New(t)
	want, _ := read(line)
	for at := range len(line) + 1 {
		var r claudeout.Reader
		r.Add([]byte(line[:at]), true)
		r.Add([]byte(line[at:]), true) // a tail without a newline
		r.End()
		got, ok := r.Result()
		is.True(ok)
		is.Equal(got, want)
	}
}

func TestTheLastResultCounts(t *testing.T) {
	is := is.New(t)
	got, ok := read(line, strings.Replace(line, `"num_turns":2`, `"num_turns":7`, 1), `{"type":"system"}`, `{"type":"result"`)
	is.True(ok)
	is.Equal(got.Turns, 7)
}

func TestWhatIsNoResult(t *testing.T) {
	for _, text := range []string{
		"", "  ", "null", `"result"`, `["type","result"]`, `{"type":"assistant"}`, `{"subtype":"success"}`, `{}`,
		line[:len(line)-1], line + "}", line + "x", "x" + line, `[` + line + `]`, `{"type":"user","message":` + line + `}`,
		`{"type":"user","text":"\n` + strings.ReplaceAll(line, `"`, `\"`) + `\n"}`,
		`{"type":"result",}`, `{"type":"result" "a":1}`, `{"type":"result","a":01}`, `{"type":"result","a":+1}`, `{"type":"result","a":1.}`, `{"type":"result","a":tru}`,
		`{"type":"result","a":"` + "\x01" + `"}`, `{"type":"result","a":"\x"}`, `{"type":"result","a":"\u12g4"}`, `{"type":"result","a":[1,]}`, `{"type":"result","a":{"b":}}`, `{'type':'result'}`,
		`{"type":["result"]}`, `{"type":null}`, `{"Type":"result"}`,
		`{"type":"result","a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`,
		`{"type":"result","usage":"` + strings.Repeat("x", 70<<10) + `"}`,
	} {
		if got, ok := read(text); ok {
			t.Errorf("%.80q is read as %+v", text, got)
		}
	}
}

func TestOddValuesAreTamed(t *testing.T) {
	for text, want := range map[string]claudeout.Result{
		`{"type":"result"}`: {Subtype: "unknown"},
		` {"t\u0079pe" : "res\u0075lt" , "subtype":"success"} `:                                               {Subtype: "success"},
		`{"type":"result","subtype":"a b","session_id":"../x","num_turns":-3,"total_cost_usd":-1}`:            {Subtype: "unknown"},
		`{"type":"result","subtype":1,"is_error":"yes","num_turns":"2","usage":[],"modelUsage":null}`:         {Subtype: "unknown"},
		`{"type":"result","subtype":"x","num_turns":1e300,"total_cost_usd":1e300,"usage":{}}`:                 {Subtype: "x", Turns: 1 << 40, CostUSD: 1e9},
		`{"type":"result","is_error":true,"session_id":"` + strings.ToUpper(session) + `"}`:                   {Subtype: "unknown", IsError: true, SessionID: session},
		`{"type":"result","permission_denials":[[1,2],{"a":[1]},3],"x":[1,2],"api_error_status":529}`:         {Subtype: "unknown", Denials: 3, APIStatus: 529},
		`{"type":"result","` + strings.Repeat("k", 100) + `":1,"subtype":"success"}`:                          {Subtype: "success"},
		`{"type":"result","subtype":"error_max_turns","subtype":"success","a":"` + "\xff" + `"}`:              {Subtype: "success"},
		`{"subtype":"success","usage":{"input_tokens":1.9},"deep":[[[{"type":"x"}]]],"type":"result"}` + "\r": {Subtype: "success", Usage: claudeout.Tokens{Input: 1}, Models: claudeout.Tokens{Input: 1}},
	} {
		if got, ok := read(text); !ok || got != want {
			t.Errorf("%s\ngot  %+v %t\nwant %+v", text, got, ok, want)
		}
	}
}

// TestMemoryIsBounded feeds a result whose text has 64 MiB, in the pieces that
// the executor makes.
func TestMemoryIsBounded(t *testing.T) {
	is := is.New(t)
	before, after, _ := strings.Cut(line, `a \"quoted\" text`)
	piece := bytes.Repeat([]byte("x"), 64<<10)
	var r claudeout.Reader
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	r.Add([]byte(before), true)
	for range 1024 {
		r.Add(piece, true)
	}
	r.Add([]byte(after), false)
	runtime.ReadMemStats(&end)
	is.True(end.TotalAlloc-start.TotalAlloc < 1<<20)
	got, ok := r.Result()
	is.True(ok)
	is.Equal(got.Turns, 2)
}

func TestSkipLeavesTheLineOut(t *testing.T) {
	is := is.New(t)
	var r claudeout.Reader
	r.Skip()
	r.Add([]byte(line), true) // may be the text of another line
	r.Add([]byte("x"), false)
	_, ok := r.Result()
	is.True(!ok)
	r.Add([]byte(line), false)
	_, ok = r.Result()
	is.True(ok)
}

// FuzzClaudeOutput holds the Reader against encoding/json, and cuts the line in two.
func FuzzClaudeOutput(f *testing.F) {
	f.Add(line, 10)
	f.Add(`{"type":"result","a":[1,-0.5e+3,true,null,{"b":"\u00e9\n"}]}`, 3)
	f.Add(`{"type":"result","usage":{"input_tokens":3}} `, 30)
	f.Add(`{"a":0,"type":"result"}x`, 0)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		if strings.Contains(text, "\n") || len(text) > 32<<10 {
			return // it would be another line, or beyond the bounds
		}
		got, ok := read(text)
		var again claudeout.Reader
		at := min(max(cut, 0), len(text))
		again.Add([]byte(text[:at]), true)
		again.Add([]byte(text[at:]), true)
		again.End()
		if other, too := again.Result(); ok != too || got != other {
			t.Fatalf("%q: %+v %t, in two pieces %+v %t", text, got, ok, other, too)
		}
		var object map[string]json.RawMessage
		err := json.Unmarshal([]byte(text), &object)
		var kind string
		isResult := err == nil && json.Unmarshal(object["type"], &kind) == nil && kind == "result"
		if ok && !isResult {
			t.Fatalf("%q is read as %+v: %v", text, got, err)
		}
		if !ok && isResult && strings.Count(text, "type")+strings.Count(text, `\u`) == 1 && strings.Count(text, "[")+strings.Count(text, "{") < 200 {
			t.Fatalf("%q is not read", text)
		}
		if ok {
			var turns float64
			if json.Unmarshal(object["num_turns"], &turns) == nil && turns >= 0 && turns < 1e9 && got.Turns != int(turns) && strings.Count(text, "num_turns") == 1 {
				t.Fatalf("%q: %d turns", text, got.Turns)
			}
			if got.CostUSD < 0 || got.Turns < 0 || got.Usage.Input < 0 {
				t.Fatalf("%q: %+v", text, got)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	text := []byte(fmt.Sprintf(`{"type":"assistant","message":%q}`, strings.Repeat("x", 4000)))
	b.SetBytes(int64(len(text)))
	var r claudeout.Reader
	for b.Loop() {
		r.Add(text, false)
	}
}
