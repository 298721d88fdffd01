package policy

import (
	"errors"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/exec"
)

// planClaudeArgs plans a shell request that spells claude: its arguments are
// turned into the typed request, which is planned as any other. What has no
// place there is refused, and the prompt leaves the argv.
func (p Policy) planClaudeArgs(list argList) (Plan, error) {
	if len(list.args) == 2 && (list.args[1] == "--version" || list.args[1] == "--help") {
		return Plan{Type: TypeClaude, Argv: []string{list.args[0], list.args[1]}, Env: claudeEnv()}, nil
	}
	var c Claude
	print, prompt := false, false
	for i := 1; i < len(list.args); i++ {
		at := i
		arg := list.args[i]
		name, value, joined := strings.Cut(arg, "=")
		switch {
		case arg == "-p" || arg == "--print":
			print = true
			continue
		case arg == "--verbose":
			continue
		case !strings.HasPrefix(arg, "-"):
			if prompt {
				return Plan{}, list.refuse(i, "claude.prompt", "there is more than one prompt; quote it as one")
			}
			c.Prompt, prompt = arg, true
			continue
		}
		if !takesValue(name) {
			return Plan{}, list.refuse(i, "claude.option", "this option of claude is not allowed")
		}
		if !joined {
			if i++; i == len(list.args) || strings.HasPrefix(list.args[i], "-") {
				return Plan{}, list.refuse(at, "claude.option", "the value of the option is missing")
			}
			value = list.args[i]
		}
		if !c.set(name, value) {
			return Plan{}, list.refuse(at, "claude.option", "this value of the option is not allowed")
		}
	}
	if !print {
		return Plan{}, list.refuse(0, "claude.option", "claude needs -p: there is nobody to talk to")
	}
	plan, err := Plan{}, c.validate()
	if err == nil {
		plan, err = p.planClaude(c)
	}
	if err != nil {
		return Plan{}, respell(list, err)
	}
	plan.Argv[0] = list.args[0]
	return plan, nil
}

// respell says of a typed request's error where it is in the list.
func respell(list argList, err error) error {
	refusal := list.refuse(0, "claude.option", "")
	var field *exec.FieldError
	if typed := (*Refusal)(nil); errors.As(err, &typed) {
		refusal.Code, refusal.Token, refusal.Reason = typed.Code, typed.Token, typed.Reason
	} else if errors.As(err, &field) {
		refusal.Reason = field.Field + " " + field.Problem
	}
	return refusal
}

func takesValue(option string) bool {
	switch option {
	case "--model", "--max-turns", "--permission-mode", "--resume", "-r", "--allowedTools", "--allowed-tools", "--output-format":
		return true
	}
	return false
}

// set sets the field for an option. It reports whether the value can be one.
func (c *Claude) set(option, value string) bool {
	switch option {
	case "--model":
		c.Model = value
	case "--max-turns":
		n, err := strconv.Atoi(value)
		c.MaxTurns = n
		return err == nil && n > 0
	case "--permission-mode":
		c.PermissionMode = value
	case "--resume", "-r":
		c.SessionID = value
	case "--allowedTools", "--allowed-tools":
		for tool := range strings.SplitSeq(value, ",") {
			c.AllowedTools = append(c.AllowedTools, strings.TrimSpace(tool))
		}
	case "--output-format": // the one that rdev reads
		return value == "stream-json"
	}
	return value != ""
}
