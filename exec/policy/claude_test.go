package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec/policy"
)

const uuid = "0b7f2a9e-4c1d-4e8a-9f10-2233445566Ff"

func planClaude(p policy.Policy, c policy.Claude) (policy.Plan, error) {
	if c.Prompt == "" {
		c.Prompt = "hi"
	}
	return p.Plan(policy.Request{Claude: &c})
}

func TestClaudeArgv(t *testing.T) {
	is := is.New(t)
	plan, err := planClaude(policy.Policy{}, policy.Claude{})
	is.NoErr(err)
	base := []string{"claude", "-p", "--output-format", "stream-json", "--verbose"}
	is.Equal(plan.Argv, base)
	is.Equal(plan.Type, policy.TypeClaude)
	is.Equal(plan.Env["CLAUDECODE"], "")
	is.Equal(plan.Env["DISABLE_AUTOUPDATER"], "1")

	plan, err = planClaude(policy.Policy{}, policy.Claude{
		SessionID: uuid, Model: "opus", MaxTurns: 12, PermissionMode: "plan", AllowedTools: []string{"Read", "Bash(git log:*)"},
	})
	is.NoErr(err)
	is.Equal(plan.Argv, append(base, "--resume="+strings.ToLower(uuid), "--model=opus", "--max-turns=12", "--permission-mode=plan", "--allowedTools=Read,Bash(git log:*)"))
}

// TestPromptIsNeverInArgv: whatever a prompt looks like, it is data on stdin.
func TestPromptIsNeverInArgv(t *testing.T) {
	is := is.New(t)
	for _, prompt := range []string{"--settings={}", "-p", "--dangerously-skip-permissions", "\n--dangerously-skip-permissions", "a; b `c` $(d)", "Refactor Map<String,int>", "x --model evil", "'", "\x01\x1b[0m", "--"} {
		plan, err := planClaude(policy.Policy{}, policy.Claude{Prompt: prompt})
		is.NoErr(err)
		is.Equal(string(plan.Stdin), prompt)
		is.Equal(len(plan.Argv), 5)
		plan, err = policy.Policy{}.Plan(argvRequest("claude", "-p", prompt))
		if err == nil && prompt != "-p" {
			is.Equal(string(plan.Stdin), prompt)
			is.Equal(len(plan.Argv), 5)
		}
	}
}

func TestClaudeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		code   string
		claude policy.Claude
		widen  bool // what WidenClaude allows
	}{
		"Bypass":           {"claude.permission_mode", policy.Claude{PermissionMode: "bypassPermissions"}, true},
		"Auto":             {"claude.permission_mode", policy.Claude{PermissionMode: "auto"}, true},
		"UnknownMode":      {"claude.permission_mode", policy.Claude{PermissionMode: "yolo"}, false},
		"ModeInCase":       {"claude.permission_mode", policy.Claude{PermissionMode: "BypassPermissions"}, false},
		"ModeWithOption":   {"claude.permission_mode", policy.Claude{PermissionMode: "plan --settings=x"}, false},
		"ModelOption":      {"claude.model", policy.Claude{Model: "--settings=x"}, false},
		"ModelSpace":       {"claude.model", policy.Claude{Model: "opus --x"}, false},
		"ModelNewline":     {"claude.model", policy.Claude{Model: "opus\n"}, false},
		"LongModel":        {"claude.model", policy.Claude{Model: strings.Repeat("m", 201)}, false},
		"EmptyTool":        {"claude.tool", policy.Claude{AllowedTools: []string{""}}, false},
		"ToolList":         {"claude.tool", policy.Claude{AllowedTools: []string{"Read,Bash"}}, false},
		"ToolOption":       {"claude.tool", policy.Claude{AllowedTools: []string{"--settings=x"}}, false},
		"OpenParenthesis":  {"claude.tool", policy.Claude{AllowedTools: []string{"Read(", "Bash)"}}, false},
		"TwoPatterns":      {"claude.tool", policy.Claude{AllowedTools: []string{"Read(a) Bash(b)"}}, false},
		"EmptyPattern":     {"claude.tool", policy.Claude{AllowedTools: []string{"Bash()"}}, false},
		"ControlInPattern": {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(git\n)"}}, false},
		"SpaceInName":      {"claude.tool", policy.Claude{AllowedTools: []string{"Read Bash"}}, false},
		"NoName":           {"claude.tool", policy.Claude{AllowedTools: []string{"(x)"}}, false},
		"LongTool":         {"claude.tool", policy.Claude{AllowedTools: []string{"T" + strings.Repeat("t", 1000)}}, false},
		"AllOfBash":        {"claude.tool", policy.Claude{AllowedTools: []string{"Bash"}}, true},
		"BashInCase":       {"claude.tool", policy.Claude{AllowedTools: []string{"bash"}}, true},
		"BashStar":         {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(*)"}}, true},
		"BashColonStar":    {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(:*)"}}, true},
		"BashSpace":        {"claude.tool", policy.Claude{AllowedTools: []string{"Bash( *)"}}, true},
		"BashWord":         {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(b*)"}}, true},
		"BashShell":        {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(sh:*)"}}, true},
		"BashShellText":    {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(bash -c:*)"}}, true},
		"BashShellPath":    {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(/bin/BASH script)"}}, true},
		"BashShellQuoted":  {"claude.tool", policy.Claude{AllowedTools: []string{`Bash("sh" -c:*)`}}, true},
		"BashShellEscaped": {"claude.tool", policy.Claude{AllowedTools: []string{`Bash(s\h:*)`}}, true},
		"BashEnv":          {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(env:*)"}}, true},
		"BashXargs":        {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(xargs:*)"}}, true},
		"BashTimeout":      {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(timeout 5 *)"}}, true},
		"BashFind":         {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(find . -exec:*)"}}, true},
		"BashBusybox":      {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(busybox:*)"}}, true},
		"BashEval":         {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(eval:*)"}}, true},
		"BashAssignment":   {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(A=b sh:*)"}}, true},
		"BashAssigned":     {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(A=*)"}}, true},
		"BashChain":        {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(cd x && sh:*)"}}, true},
		"BashClaude":       {"claude.tool", policy.Claude{AllowedTools: []string{"Bash(claude:*)"}}, true},
		"Agents":           {"claude.tool", policy.Claude{AllowedTools: []string{"Task"}}, true},
		"Wildcard":         {"claude.tool", policy.Claude{AllowedTools: []string{"mcp__*"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			tc.claude.Prompt = "hi"
			for _, level := range []policy.Level{policy.Strict, policy.Restricted, policy.Permissive} {
				is.Equal(refusal(t, policy.Policy{Level: level, AllowShell: true}, policy.Request{Claude: &tc.claude}).Code, tc.code)
				_, err := planClaude(policy.Policy{Level: level, WidenClaude: true}, tc.claude)
				is.Equal(err == nil, tc.widen)
			}
		})
	}
}

func TestClaudeLists(t *testing.T) {
	is := is.New(t)
	tools := func(p policy.Policy, tools ...string) error {
		_, err := planClaude(p, policy.Claude{AllowedTools: tools})
		return err
	}
	is.NoErr(tools(policy.Policy{}, "Bash(npm run test:*)", "Bash(git:*)", "Bash(git diff *)", "Bash(./gradlew test)", "Bash(CI=1 make:*)", "Bash(g++:*)"))
	is.NoErr(tools(policy.Policy{}, "Read", "Edit", "Write", "Bash(git log:*)", "WebFetch(domain:example.com)", "mcp__github__get_issue"))
	strict := policy.Policy{Level: policy.Strict}
	is.NoErr(tools(strict, "Read", "Grep", "Glob"))
	is.True(errors.Is(tools(strict, "Read", "Edit"), policy.ErrRefused))
	is.True(errors.Is(tools(strict, "Bash(git log:*)"), policy.ErrRefused))
	listed := policy.Policy{Level: policy.Strict, ClaudeTools: []string{"Bash(make:*)", "Bash"}}
	is.NoErr(tools(listed, "Bash(make:*)", "Bash")) // the list has the last word
	is.True(errors.Is(tools(listed, "Read"), policy.ErrRefused))

	model := func(p policy.Policy, model string) error {
		_, err := planClaude(p, policy.Claude{Model: model})
		return err
	}
	for _, name := range []string{"opus", "claude-x-4-5-20260101", "us.anthropic.claude-x-v1:0", "claude-x@20260101", "opus[1m]", "arn:aws:bedrock/x"} {
		is.NoErr(model(policy.Policy{}, name))
	}
	is.NoErr(model(policy.Policy{ClaudeModels: []string{"haiku"}}, "haiku"))
	is.True(errors.Is(model(policy.Policy{ClaudeModels: []string{"haiku"}}, "opus"), policy.ErrRefused))
	mode := func(p policy.Policy, mode string) error {
		_, err := planClaude(p, policy.Claude{PermissionMode: mode})
		return err
	}
	for _, name := range []string{"default", "plan", "acceptEdits", "dontAsk"} {
		is.NoErr(mode(policy.Policy{}, name))
		// What edits is on no list of tools there, so that no mode may allow it.
		for _, narrow := range []policy.Policy{strict, {ClaudeTools: []string{"Read"}}, {ClaudeTools: []string{"Edit"}}} {
			is.Equal(errors.Is(mode(narrow, name), policy.ErrRefused), name == "acceptEdits")
			narrow.WidenClaude = true
			is.NoErr(mode(narrow, name))
		}
	}
}

// TestClaudeAsShellCommand: a shell request that spells claude obeys the rules
// of the typed one.
func TestClaudeAsShellCommand(t *testing.T) {
	is := is.New(t)
	plan, err := policy.Policy{}.Plan(shellRequest(`/opt/bin/claude -p --model sonnet --max-turns=3 --permission-mode plan -r ` + uuid + ` --allowedTools "Read, Edit" --output-format stream-json --verbose "a; b"`))
	is.NoErr(err)
	is.Equal(plan.Argv, []string{"/opt/bin/claude", "-p", "--output-format", "stream-json", "--verbose", "--resume=" + strings.ToLower(uuid), "--model=sonnet", "--max-turns=3", "--permission-mode=plan", "--allowedTools=Read,Edit"})
	is.Equal(string(plan.Stdin), "a; b")
	plan, err = policy.Policy{}.Plan(shellRequest("claude --version"))
	is.NoErr(err)
	is.Equal(plan.Argv, []string{"claude", "--version"})

	for _, command := range []string{
		"claude", "claude hi", "claude -p", "claude -p ''", "claude -p a b", "claude mcp add x", "claude -p --dangerously-skip-permissions x", "claude -p --allow-dangerously-skip-permissions x",
		"claude -p --settings x y", "claude -p --settings=x y", "claude -p --mcp-config x y", "claude -p --add-dir / x", "claude -p --agents x y", "claude -p --plugin-dir x y", "claude -p --system-prompt x y",
		"claude -p --append-system-prompt x y", "claude -p --permission-prompt-tool x y", "claude -p --setting-sources x y", "claude -p --debug x", "claude -p --chrome x", "claude -p -c x", "claude -p --continue x",
		"claude -p --permission-mode bypassPermissions x", "claude -p --permission-mode=auto x", "claude -p --allowedTools Bash x", "claude -p --output-format json x", "claude -p --model", "claude -p x --model --settings=y",
		"claude -p --max-turns x y", "claude -p --max-turns 0 y", "claude -p --resume last x", "claude -p --mod opus x", "claude -p --MODEL opus x", "claude -p -- x", "claude -pv x", "claude -px", "claude -p --allowedTools= x", "claude -p --verbose=x y", "claude -p --print=x y", "claude -p --model= x",
	} {
		r := refusal(t, policy.Policy{}, shellRequest(command))
		is.True(strings.HasPrefix(r.Code, "claude.")) // a code of claude's
		is.Equal(r.Field, "command")
		is.True(r.Column > 0)
	}
}

// TestWhatNeededWideningIsKnownByItsArgv: of the typed request, and of the same
// spelled as a command line.
func TestWhatNeededWideningIsKnownByItsArgv(t *testing.T) {
	for name, tc := range map[string]struct {
		policy policy.Policy
		claude policy.Claude
		needs  bool
	}{
		"Plain":        {policy.Policy{}, policy.Claude{}, false},
		"AcceptEdits":  {policy.Policy{}, policy.Claude{PermissionMode: "acceptEdits", AllowedTools: []string{"Read", "Bash(git log:*)"}}, false},
		"Bypass":       {policy.Policy{}, policy.Claude{PermissionMode: "bypassPermissions"}, true},
		"Auto":         {policy.Policy{Level: policy.Permissive}, policy.Claude{Model: "opus", PermissionMode: "auto"}, true},
		"AllOfBash":    {policy.Policy{}, policy.Claude{AllowedTools: []string{"Read", "Bash"}}, true},
		"ListedTool":   {policy.Policy{ClaudeTools: []string{"Bash"}}, policy.Claude{AllowedTools: []string{"Bash"}}, false},
		"ListedBypass": {policy.Policy{ClaudeTools: []string{"Bash"}}, policy.Claude{PermissionMode: "auto", AllowedTools: []string{"Bash"}}, true},
		"Strict":       {policy.Policy{Level: policy.Strict}, policy.Claude{AllowedTools: []string{"Read"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			wide := tc.policy
			wide.WidenClaude = true
			plan, err := planClaude(wide, tc.claude)
			is.NoErr(err)
			is.Equal(tc.policy.NeedsWidening(plan.Argv), tc.needs)
			is.Equal(wide.NeedsWidening(plan.Argv), tc.needs) // the policy's own does not matter
			_, err = planClaude(tc.policy, tc.claude)
			is.Equal(err != nil, tc.needs)
			argv := []string{"claude", "-p"}
			if tc.claude.PermissionMode != "" {
				argv = append(argv, "--permission-mode", tc.claude.PermissionMode)
			}
			if tc.claude.AllowedTools != nil {
				argv = append(argv, "--allowed-tools", strings.Join(tc.claude.AllowedTools, ","))
			}
			plan, err = wide.Plan(argvRequest(append(argv, "hi")...))
			is.NoErr(err)
			is.Equal(tc.policy.NeedsWidening(plan.Argv), tc.needs)
		})
	}
	// A policy that allows it neither way has changed since, which is not the
	// key's doing.
	is.New(t).True(!policy.Policy{ClaudeTools: []string{"Read"}}.NeedsWidening([]string{"claude", "--allowedTools=Bash"}))
}
