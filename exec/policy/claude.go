package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxTurns bounds Claude.MaxTurns.
const maxTurns = 10000

// planClaude plans a run of Claude Code. Values are joined to their options
// with a =, so that no value stands alone in argv.
func (p Policy) planClaude(c Claude) (Plan, error) {
	argv := []string{"claude", "-p", "--output-format", "stream-json", "--verbose"}
	add := func(flag, value string) { argv = append(argv, flag+"="+value) }
	if c.SessionID != "" {
		add("--resume", strings.ToLower(c.SessionID))
	}
	if c.Model != "" {
		if err := p.checkModel(c.Model); err != nil {
			return Plan{}, err
		}
		add("--model", c.Model)
	}
	if c.MaxTurns > 0 {
		add("--max-turns", strconv.Itoa(c.MaxTurns))
	}
	if c.PermissionMode != "" {
		if err := p.checkMode(c.PermissionMode); err != nil {
			return Plan{}, err
		}
		add("--permission-mode", c.PermissionMode)
	}
	if len(c.AllowedTools) > 0 {
		for i, tool := range c.AllowedTools {
			if err := p.checkTool(fmt.Sprintf("allowed_tools[%d]", i), tool); err != nil {
				return Plan{}, err
			}
		}
		add("--allowedTools", strings.Join(c.AllowedTools, ","))
	}
	return Plan{Type: TypeClaude, Argv: argv, Env: claudeEnv(), Stdin: []byte(c.Prompt)}, nil
}

// NeedsWidening reports whether the argv of a plan of [TypeClaude] is allowed
// with WidenClaude and not without it.
func (p Policy) NeedsWidening(argv []string) bool {
	narrow, wide := p, p
	narrow.WidenClaude, wide.WidenClaude = false, true
	return narrow.checkClaude(argv) != nil && wide.checkClaude(argv) == nil
}

// checkClaude checks again, in an argv that planClaude made, what WidenClaude has
// a say in.
func (p Policy) checkClaude(argv []string) error {
	for _, arg := range argv {
		switch name, value, _ := strings.Cut(arg, "="); name {
		case "--permission-mode":
			if err := p.checkMode(value); err != nil {
				return err
			}
		case "--allowedTools":
			for tool := range strings.SplitSeq(value, ",") {
				if err := p.checkTool("allowed_tools", tool); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// claudeEnv returns the environment of every run. rdev may itself run within
// Claude Code (on a laptop), which a claude started by it would take for its
// parent; and a run that updates the program does so under the others.
func claudeEnv() map[string]string {
	return map[string]string{
		"CLAUDECODE":             "",
		"CLAUDE_CODE_ENTRYPOINT": "",
		"CLAUDE_CODE_SSE_PORT":   "",
		"DISABLE_AUTOUPDATER":    "1",
	}
}

func (p Policy) checkModel(model string) error {
	refusal := Refusal{Code: "claude.model", Field: "model", Token: clip(model)}
	switch {
	case !isModel(model):
		refusal.Reason = "this is no name of a model: want letters, digits and ._:/@[]-, beginning with a letter"
	case p.ClaudeModels != nil && !slices.Contains(p.ClaudeModels, model):
		refusal.Reason = "this model is not allowed here"
	default:
		return nil
	}
	return &refusal
}

// isModel accepts aliases ("opus"), names, and the longer ones of other
// providers ("us.anthropic.claude-x-v1:0", "claude-x@20260101", "opus[1m]").
func isModel(model string) bool {
	if len(model) > 200 || !isLetter(model[0]) {
		return false
	}
	return onlyBytes(model, modelBytes)
}

const modelBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@[]-"

func (p Policy) checkMode(mode string) error {
	refusal := Refusal{Code: "claude.permission_mode", Field: "permission_mode", Token: clip(mode)}
	switch mode {
	case "default", "plan", "dontAsk":
		return nil
	case "acceptEdits":
		if p.WidenClaude || p.ClaudeTools == nil && p.Level != Strict {
			return nil
		}
		refusal.Reason = "this mode lets tools write without a question, and which tools may do that is limited here"
	case "bypassPermissions", "auto":
		if p.WidenClaude {
			return nil
		}
		refusal.Reason = "this mode asks nobody for permission and is not allowed here"
	default:
		refusal.Reason = "there is no such mode; want default, plan, acceptEdits or dontAsk"
	}
	return &refusal
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// onlyBytes reports whether s holds none but the given ASCII bytes.
func onlyBytes(s, allowed string) bool {
	for i := range len(s) {
		if strings.IndexByte(allowed, s[i]) < 0 {
			return false
		}
	}
	return true
}

// isUUID accepts the 36 characters of the usual form, in either case.
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
