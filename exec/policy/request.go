package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/orchard9/rdev/exec"
)

// MaxCommand is the longest Shell.Command in bytes.
const MaxCommand = 64 << 10

// Type is the kind of a request. Each has a permission of its own.
type Type string

// The types. The values are public: they are part of URLs and scopes.
const (
	TypeClaude Type = "claude"
	TypeShell  Type = "shell"
	TypeGit    Type = "git"
)

// Claude asks Claude Code to work on a prompt.
type Claude struct {
	// Prompt reaches claude on its standard input, never in its argv: nothing
	// in it can act as an option. Required.
	Prompt string `json:"prompt"`
	// SessionID is the UUID of an earlier session in the same folder, which
	// is resumed. Empty starts a new one.
	SessionID string `json:"session_id,omitempty"`
	// Model is an alias ("opus") or a full name. Defaults to claude's choice.
	Model string `json:"model,omitempty"`
	// MaxTurns stops the run after so many turns, at most 10000. Zero means no
	// limit.
	MaxTurns int `json:"max_turns,omitempty"`
	// PermissionMode is default, plan, acceptEdits or dontAsk, and with
	// Policy.WidenClaude also bypassPermissions or auto.
	PermissionMode string `json:"permission_mode,omitempty"`
	// AllowedTools are tools that claude may use without asking, "Read" or
	// "Bash(git log:*)".
	AllowedTools []string `json:"allowed_tools,omitempty"`
}

// Shell runs a program. Exactly one of Command and Argv is set.
type Shell struct {
	// Command is one command line, at most MaxCommand bytes.
	Command string `json:"command,omitempty"`
	// Argv is a program with its arguments, run as they stand.
	Argv []string `json:"argv,omitempty"`
}

// Git runs git with the arguments, the subcommand first.
type Git struct {
	Args []string `json:"args"`
}

// A Request is what a caller asks for. Exactly one of Claude, Shell and Git is
// set.
type Request struct {
	Claude *Claude `json:"claude,omitempty"`
	Shell  *Shell  `json:"shell,omitempty"`
	Git    *Git    `json:"git,omitempty"`
	// Env is added to the environment of the program, as far as the policy
	// lets it be.
	Env map[string]string `json:"env,omitempty"`
}

// Type returns the type of the field that is set, or "" if there is none.
func (r Request) Type() Type {
	switch {
	case r.Claude != nil:
		return TypeClaude
	case r.Shell != nil:
		return TypeShell
	case r.Git != nil:
		return TypeGit
	}
	return ""
}

// validate finds what is wrong under every policy.
func (r Request) validate() error {
	set := 0
	for _, is := range []bool{r.Claude != nil, r.Shell != nil, r.Git != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return fieldErrorf("request", "has %d of claude, shell and git, exactly one is wanted", set)
	}
	if err := validateEnv(r.Env); err != nil {
		return err
	}
	switch r.Type() {
	case TypeClaude:
		return r.Claude.validate()
	case TypeGit:
		if len(r.Git.Args) == 0 {
			return fieldErrorf("args", "is empty: there is no git subcommand")
		}
		return argList{field: "args", args: r.Git.Args}.validate()
	default:
		return r.Shell.validate()
	}
}

func (s *Shell) validate() error {
	switch {
	case s.Command != "" && s.Argv != nil:
		return fieldErrorf("command", "is set and argv is too, exactly one is wanted")
	case s.Argv != nil:
		if len(s.Argv) == 0 || s.Argv[0] == "" {
			return fieldErrorf("argv", "is empty: there is no program to run")
		}
		return argList{field: "argv", args: s.Argv}.validate()
	case strings.Trim(s.Command, " \t\n") == "":
		return fieldErrorf("command", "is empty: there is no program to run")
	case len(s.Command) > MaxCommand:
		return fieldErrorf("command", "has %d bytes, at most %d are allowed", len(s.Command), MaxCommand)
	}
	return checkText("command", s.Command)
}

func (c *Claude) validate() error {
	switch {
	case strings.TrimSpace(c.Prompt) == "":
		return fieldErrorf("prompt", "is empty")
	case len(c.Prompt) > exec.MaxStdin:
		return fieldErrorf("prompt", "has %d bytes, at most %d are allowed", len(c.Prompt), exec.MaxStdin)
	case c.MaxTurns < 0 || c.MaxTurns > maxTurns:
		return fieldErrorf("max_turns", "is %d, want 0 to %d", c.MaxTurns, maxTurns)
	case c.SessionID != "" && !isUUID(c.SessionID):
		return fieldErrorf("session_id", "is not a UUID")
	}
	for _, field := range []struct{ name, text string }{
		{"prompt", c.Prompt}, {"model", c.Model}, {"permission_mode", c.PermissionMode},
	} {
		if err := checkText(field.name, field.text); err != nil {
			return err
		}
	}
	return argList{field: "allowed_tools", args: c.AllowedTools}.validate()
}

// An argList is a list of a request together with the name of its field.
type argList struct {
	field   string
	args    []string
	columns []int // where they begin, if they were split from a line
	first   int   // the index of args[0] in the field
}

// at names the field of element i: for a command line, which was split into
// the list, it is the whole line.
func (l argList) at(i int) string {
	if l.field == "command" {
		return l.field
	}
	return fmt.Sprintf("%s[%d]", l.field, l.first+i)
}

// refuse refuses element i.
func (l argList) refuse(i int, code, reason string) *Refusal {
	column := 1
	if l.columns != nil {
		column = l.columns[i]
	}
	return &Refusal{Code: code, Field: l.at(i), Token: clip(l.args[i]), Column: column, Reason: reason}
}

// from returns the list from element i on.
func (l argList) from(i int) argList {
	l.args, l.first = l.args[i:], l.first+i
	if l.columns != nil {
		l.columns = l.columns[i:]
	}
	return l
}

func (l argList) validate() error {
	if len(l.args) > exec.MaxArgs {
		return fieldErrorf(l.field, "has %d elements, at most %d are allowed", len(l.args), exec.MaxArgs)
	}
	size := 0
	for i, arg := range l.args {
		if err := checkText(l.at(i), arg); err != nil {
			return err
		}
		size += len(arg) + 1
	}
	if size > exec.MaxArgBytes {
		return fieldErrorf(l.field, "has %d bytes, at most %d are allowed", size, exec.MaxArgBytes)
	}
	return nil
}

func checkText(field, s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return fieldErrorf(field, "holds a NUL byte")
	}
	if !utf8.ValidString(s) {
		return fieldErrorf(field, "is not valid UTF-8")
	}
	return nil
}

func fieldErrorf(field, format string, args ...any) error {
	return &exec.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
