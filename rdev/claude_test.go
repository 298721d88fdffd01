package rdev_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

const sessionID = "6e57a40c-ddd5-4d35-a23b-5453186726bb"

// resultLine is a result of claude: what varies, and the cost in dollars and the
// tokens of all models, each kind of the same number. The run itself used own.
func resultLine(subtype string, isError bool, cost float64, models, own int) string {
	return fmt.Sprintf(`{"type":"result","subtype":%q,"is_error":%t,"num_turns":2,"result":"text","session_id":%q,"total_cost_usd":%g,`+
		`"usage":{"input_tokens":%[6]d,"output_tokens":%[6]d,"cache_read_input_tokens":%[6]d,"cache_creation_input_tokens":%[6]d},`+
		`"modelUsage":{"m":{"inputTokens":%[5]d,"outputTokens":%[5]d,"cacheReadInputTokens":%[5]d,"cacheCreationInputTokens":%[5]d}},"permission_denials":[{}]}`,
		subtype, isError, sessionID, cost, models, own)
}

func prompt() rdev.Request {
	return rdev.Request{Project: "app", Request: policy.Request{Claude: &policy.Claude{Prompt: "hello"}}}
}

func usage(n int64) rdev.ClaudeUsage {
	return rdev.ClaudeUsage{InputTokens: n, OutputTokens: n, CacheReadTokens: n, CacheWriteTokens: n}
}

func claudeParts(t *testing.T, script exectest.Script) *parts {
	p := newParts(t)
	p.broker.Shutdown()
	p.broker = stream.NewMemory(stream.MemoryConfig{StreamBytes: 16 << 20})
	t.Cleanup(p.broker.Shutdown)
	p.executor.Programs["claude"] = script
	return p
}

// endOf runs claude and returns its record, which must say what the terminal
// event says.
func endOf(t *testing.T, s *rdev.Service) rdev.Command {
	t.Helper()
	cmd := run(t, s, prompt())
	_, terminal := follow(t, s, cmd.ID, 0)
	var told struct {
		State   rdev.State         `json:"state"`
		Code    rdev.Code          `json:"code"`
		Message string             `json:"message"`
		Claude  *rdev.ClaudeResult `json:"claude"`
	}
	if err := json.Unmarshal(terminal.Data, &told); err != nil {
		t.Fatal(err)
	}
	got := get(t, s, cmd.ID)
	is := is.New(t)
	is.Equal(told.State, got.State)
	is.Equal(told.Code, got.Code)
	is.Equal(told.Message, got.Message)
	is.Equal(told.Claude, got.Claude)
	return got
}

func TestClaudesOutcomeIsItsResult(t *testing.T) {
	good := resultLine("success", false, 0.25, 10, 10)
	for name, c := range map[string]struct {
		script  exectest.Script
		state   rdev.State
		message string // of a CLAUDE_ERROR
		result  bool
	}{
		"success":              {exectest.Lines(`{"type":"system"}`, good), rdev.StateSucceeded, "", true},
		"a limit":              {exectest.Lines(resultLine("error_max_turns", true, 0, 0, 0)), rdev.StateFailed, "claude ended with error_max_turns after 2 turns", true},
		"a limit, no error":    {exectest.Lines(resultLine("error_max_turns", false, 0, 0, 0)), rdev.StateFailed, "claude ended with error_max_turns after 2 turns", true},
		"an error":             {exectest.Lines(resultLine("success", true, 0, 0, 0)), rdev.StateFailed, "claude reported an error after 2 turns", true},
		"no result":            {exectest.Lines(`{"type":"system"}`, `{"type":"assistant"}`), rdev.StateFailed, "claude exited without a result", false},
		"nothing":              {exectest.Script{}, rdev.StateFailed, "claude exited without a result", false},
		"broken JSON":          {exectest.Lines(good[:len(good)-1], good+"}", "["+good+"]"), rdev.StateFailed, "claude exited without a result", false},
		"a result within":      {exectest.Lines(`{"type":"user","message":` + good + `}`), rdev.StateFailed, "claude exited without a result", false},
		"a result on stderr":   {exectest.Script{Steps: []exectest.Step{{Stream: exec.Stderr, Text: good + "\n"}}}, rdev.StateFailed, "claude exited without a result", false},
		"a later one":          {exectest.Lines(resultLine("error_during_execution", true, 0, 0, 0), good), rdev.StateSucceeded, "", true},
		"no newline":           {exectest.Script{Steps: []exectest.Step{{Text: good}}}, rdev.StateSucceeded, "", true},
		"a huge line":          {exectest.Lines(strings.Replace(good, "text", strings.Repeat("x", 5<<20), 1)), rdev.StateSucceeded, "", true},
		"stderr in between":    {exectest.Script{Steps: []exectest.Step{{Text: good[:50]}, {Stream: exec.Stderr, Text: "warning\n", Delay: time.Second}, {Text: good[50:] + "\n", Delay: time.Second}}}, rdev.StateSucceeded, "", true},
		"exit code 1":          {exectest.Script{Steps: []exectest.Step{{Text: good + "\n"}}, ExitCode: 1}, rdev.StateFailed, "", true},
		"exit code 1, a limit": {exectest.Script{Steps: []exectest.Step{{Text: resultLine("error_max_turns", true, 0, 0, 0) + "\n"}}, ExitCode: 1}, rdev.StateFailed, "claude ended with error_max_turns after 2 turns", true},
		"exit code 1 alone":    {exectest.Script{ExitCode: 1}, rdev.StateFailed, "", false},
		"a signal":             {exectest.Script{Steps: []exectest.Step{{Text: good + "\n"}}, Signal: "SIGSEGV"}, rdev.StateFailed, "", true},
		"a hang":               {exectest.Script{Steps: []exectest.Step{{Text: good + "\n"}, {Delay: time.Hour}}}, rdev.StateSucceeded, "", true},
		"a hang, stubborn":     {exectest.Script{Steps: []exectest.Step{{Text: good + "\n"}, {Delay: time.Hour}}, IgnoreTerm: true}, rdev.StateSucceeded, "", true},
		"a hang at a limit":    {exectest.Script{Steps: []exectest.Step{{Text: resultLine("error_max_turns", true, 0, 0, 0) + "\n"}, {Delay: time.Hour}}}, rdev.StateFailed, "claude ended with error_max_turns after 2 turns", true},
		"slow, then another":   {exectest.Script{Steps: []exectest.Step{{Text: resultLine("error_during_execution", true, 0, 0, 0) + "\n"}, {Delay: 4 * time.Second, Text: "{}\n"}, {Delay: 4 * time.Second, Text: good + "\n"}}}, rdev.StateSucceeded, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				s := claudeParts(t, c.script).open(t, func(c *rdev.Config) { c.ClaudeGrace = 5 * time.Second })
				defer shut(t, s)
				began := time.Now()
				got := endOf(t, s)
				is.True(time.Since(began) < time.Minute) // a hang is ended
				is.Equal(got.State, c.state)
				is.Equal(got.Message, c.message)
				is.Equal(got.Code == rdev.CodeClaudeError, c.message != "")
				is.True(got.Result != nil) // the process ended, and how is told
				is.Equal(got.Claude != nil, c.result)
			})
		})
	}
}

// pemHead is how a private key begins.
const pemHead = "-----BEGIN RSA " + "PRIVATE KEY-----"

// TestAClaudeThatMentionsASecretIsJudgedByItsResult: what is masked in its output
// is no reason to take it for failed, and what is shown is still JSON.
func TestAClaudeThatMentionsASecretIsJudgedByItsResult(t *testing.T) {
	good := resultLine("success", false, 0.25, 10, 10)
	answer := func(text string) string { return strings.Replace(good, `"result":"text"`, `"result":"`+text+`"`, 1) }
	for name, c := range map[string]struct {
		lines []string
		valid bool // JSON, as it is shown
	}{
		"in its answer": {[]string{answer("it looks for " + pemHead + " in the file")}, true},
		"before it":     {[]string{`{"type":"assistant","text":"grep for ` + pemHead + ` first"}`, answer("see /home/user/projects/service/internal/secrets/loader")}, true},
		"with a key":    {[]string{answer(pemHead + `\n` + strings.Repeat("MIIEvQIBADANBgkqhkiG", 10))}, true},
		"as a key":      {[]string{strings.Replace(good, `"result":`, `"`+registered+`":`, 1)}, true},
		"a broken line": {[]string{strings.Replace(good, `{`, `{"a":"`+passed+`",`, 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			s := claudeParts(t, exectest.Lines(c.lines...)).open(t, func(c *rdev.Config) {
				c.Secrets = func() []auth.Secret {
					return []auth.Secret{auth.NewSecret(registered), auth.NewSecret(`"a":"` + passed)}
				}
			})
			got := endOf(t, s)
			is.Equal(got.State, rdev.StateSucceeded)
			is.Equal(got.Claude.SessionID, sessionID)
			is.Equal(got.Claude.Turns, 2)
			output, _ := follow(t, s, got.ID, 0)
			is.True(strings.Contains(output, "[masked]"))
			is.True(!strings.Contains(output, "MIIE") && !strings.Contains(output, registered) && !strings.Contains(output, passed))
			for line := range strings.Lines(output) {
				is.True(json.Valid([]byte(line)) == c.valid)
			}
		})
	}
}

// TestAResultShowsNoSecret: the words in it may be some.
func TestAResultShowsNoSecret(t *testing.T) {
	is := is.New(t)
	s := claudeParts(t, exectest.Lines(resultLine("correct_horse_battery", true, 0, 1, 1))).open(t, func(c *rdev.Config) {
		c.Secrets = func() []auth.Secret {
			return []auth.Secret{auth.NewSecret("correct_horse_battery"), auth.NewSecret(sessionID)}
		}
	})
	got := endOf(t, s)
	is.Equal(got.Claude.Subtype, "unknown")
	is.Equal(got.Claude.SessionID, "")
	is.Equal(got.Message, "claude ended with unknown after 2 turns")
}

func TestWhatHasNoResultIsNotJudgedByOne(t *testing.T) {
	is := is.New(t)
	s := claudeParts(t, exectest.Lines("2.1.197 (Claude Code)")).open(t)
	cmd := run(t, s, shell("claude", "--version"))
	follow(t, s, cmd.ID, 0)
	got := get(t, s, cmd.ID)
	is.Equal(got.Type, policy.TypeClaude)
	is.Equal(got.State, rdev.StateSucceeded)
}

func TestACanceledClaudeIsCanceled(t *testing.T) {
	for name, first := range map[string]string{"before its result": "{}", "after its result": resultLine("success", false, 0, 0, 0)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				s := claudeParts(t, exectest.Script{Steps: []exectest.Step{{Text: first + "\n"}, {Delay: time.Hour}}}).open(t)
				defer shut(t, s)
				cmd := run(t, s, prompt())
				synctest.Wait()
				_, err := s.Cancel(t.Context(), auth.Admin(), "app", cmd.ID)
				is.NoErr(err)
				follow(t, s, cmd.ID, 0)
				got := get(t, s, cmd.ID)
				is.Equal(got.State, rdev.StateCanceled)
				is.Equal(got.Claude != nil, first != "{}") // what it said is kept
			})
		})
	}
}

// TestAClaudeThatHangsIsEndedByWhoeverOwnsIt closes the Service right after the
// result, detached from the command. The next one knows of the result by the
// stream alone.
func TestAClaudeThatHangsIsEndedByWhoeverOwnsIt(t *testing.T) {
	long := make([]exectest.Step, 0, 3000)
	for range 3000 {
		long = append(long, exectest.Step{Text: `{"type":"assistant"}` + "\n"})
	}
	good := exectest.Step{Text: resultLine("success", false, 0.25, 10, 10) + "\n"}
	mention := strings.Replace(good.Text, `"result":"text"`, `"result":"it looks for `+pemHead+` in the file"`, 1)
	for name, steps := range map[string][]exectest.Step{
		"a short output": {good, {Delay: time.Hour}},
		"a long output":  append(long, good, exectest.Step{Delay: time.Hour}),
		"a long line":    {{Text: strings.Replace(good.Text, "text", strings.Repeat("x", 5<<20), 1)}, {Delay: time.Hour}},
		"half a result":  {{Text: good.Text[:60]}, {Delay: 3 * time.Second, Text: good.Text[60:]}, {Delay: time.Hour}},
		"half a mention": {{Text: mention[:100]}, {Delay: 3 * time.Second, Text: mention[100:]}, {Delay: time.Hour}},
		"a held piece":   {{Text: mention[:120] + "corr"}, {Delay: 3 * time.Second, Text: mention[120:]}, {Delay: time.Hour}},
		"two mentions":   {{Text: mention}, {Delay: 3 * time.Second, Text: "{}\n" + mention}, {Delay: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				p := claudeParts(t, exectest.Script{Steps: steps})
				leave := func(c *rdev.Config) {
					c.LeaveRunning = true
					c.Secrets = func() []auth.Secret { return []auth.Secret{auth.NewSecret(registered)} }
				}
				first := p.open(t, leave)
				cmd := run(t, first, prompt())
				time.Sleep(time.Second) // of the bubble
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				is.NoErr(first.Close(ctx))
				second := p.open(t)
				defer shut(t, second)
				follow(t, second, cmd.ID, 0)
				got := get(t, second, cmd.ID)
				is.Equal(got.State, rdev.StateSucceeded)
				is.Equal(got.Claude.CostUSD, 0.25)
				is.True(got.EndedAt.Sub(got.StartedAt) < time.Minute)
			})
		})
	}
}

// TestCostsOfASession runs claude three times in a session, as versions that
// count it from its beginning and from its resumption report it.
func TestCostsOfASession(t *testing.T) {
	type report struct {
		cost        float64
		models, own int
	}
	for name, c := range map[string]struct {
		reports []report
		added   []float64
		totals  []float64
		tokens  []int64
	}{
		"counted on":         {[]report{{0.10, 10, 10}, {0.35, 30, 20}, {0.36, 31, 1}}, []float64{0.10, 0.25, 0.01}, []float64{0.10, 0.35, 0.36}, []int64{10, 20, 1}},
		"counted anew":       {[]report{{0.10, 10, 10}, {0.25, 20, 20}, {0.01, 1, 1}}, []float64{0.10, 0.25, 0.01}, []float64{0.10, 0.35, 0.36}, []int64{10, 20, 1}},
		"anew, the same":     {[]report{{0.10, 10, 10}, {0.10, 10, 10}, {0.10, 10, 10}}, []float64{0.10, 0.10, 0.10}, []float64{0.10, 0.20, 0.30}, []int64{10, 10, 10}},
		"a crash with zeros": {[]report{{0.10, 10, 10}, {0, 0, 0}, {0.35, 30, 20}}, []float64{0.10, 0, 0.25}, []float64{0.10, 0.10, 0.35}, []int64{10, 0, 20}},
		"an updated claude":  {[]report{{0.10, 10, 10}, {0.25, 20, 20}, {0.40, 35, 5}}, []float64{0.10, 0.25, 0.05}, []float64{0.10, 0.35, 0.40}, []int64{10, 20, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			p := claudeParts(t, exectest.Script{})
			delete(p.executor.Programs, "claude")
			n := 0
			p.executor.Func = func(exec.Command) (exectest.Script, bool) {
				r := c.reports[n]
				return exectest.Lines(resultLine("success", false, r.cost, r.models, r.own)), true
			}
			s := p.open(t)
			for n = range c.reports {
				got := endOf(t, s).Claude
				is.Equal(got.SessionID, sessionID)
				is.Equal(got.CostUSD, c.added[n])
				is.Equal(got.SessionCostUSD, c.totals[n])
				is.Equal(got.Usage, usage(c.tokens[n]))
				is.Equal(got.Turns, 2)
				is.Equal(got.Denials, 1)
			}
			// Another project does not know the session.
			elsewhere := prompt()
			elsewhere.Project = "other"
			cmd := run(t, s, elsewhere)
			for !cmd.State.Terminal() {
				var err error
				cmd, err = s.Get(t.Context(), auth.Admin(), "other", cmd.ID)
				is.NoErr(err)
			}
			last := c.reports[len(c.reports)-1]
			is.Equal(cmd.Claude.CostUSD, last.cost)
		})
	}
}
