package policy

import (
	"slices"
	"strings"
)

// checkTool checks one entry of allowed_tools: the name of a tool, alone or
// with a pattern in parentheses. No entry may hold a comma, since all are
// joined by commas into one argument, nor an unmatched parenthesis, which
// would swallow the next.
func (p Policy) checkTool(field, tool string) error {
	refusal := Refusal{Code: "claude.tool", Field: field, Token: clip(tool)}
	name, pattern, ok := parseTool(tool)
	switch {
	case !ok:
		refusal.Reason = "this is no tool: want a name, or a name with a pattern as in Bash(git log:*), without commas and control characters"
	case p.ClaudeTools != nil && !slices.Contains(p.ClaudeTools, tool):
		refusal.Reason = "this tool is not allowed here"
	case p.ClaudeTools == nil && p.Level == Strict && !p.WidenClaude && !readsOnly(name):
		refusal.Reason = "only tools that read are allowed here"
	case p.ClaudeTools == nil && !p.WidenClaude && runsAnything(name, pattern):
		refusal.Reason = "this allows every program, or one that starts any other, and is not allowed here; name one, as in Bash(git log:*)"
	default:
		return nil
	}
	return &refusal
}

// parseTool splits Name(pattern).
func parseTool(tool string) (name, pattern string, ok bool) {
	if tool == "" || len(tool) > 1000 || strings.Contains(tool, ",") {
		return "", "", false
	}
	name = tool
	if open := strings.IndexByte(tool, '('); open >= 0 {
		if !strings.HasSuffix(tool, ")") {
			return "", "", false
		}
		name, pattern = tool[:open], tool[open+1:len(tool)-1]
		if strings.ContainsAny(pattern, "()") || strings.TrimSpace(pattern) == "" {
			return "", "", false
		}
	}
	for _, r := range pattern {
		if r < ' ' || r == 0x7f {
			return "", "", false
		}
	}
	if name == "" || !isLetter(name[0]) || !onlyBytes(name, toolBytes) {
		return "", "", false
	}
	return name, pattern, true
}

const toolBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-*"

func readsOnly(name string) bool {
	return slices.Contains([]string{"Glob", "Grep", "LS", "NotebookRead", "Read", "TodoWrite"}, name)
}

// runsAnything reports whether a tool can start any program: Bash without a
// pattern or with one that names no program or one that starts others, its
// relatives, sub-agents with tools of their own, and wildcards for tools.
func runsAnything(name, pattern string) bool {
	if strings.Contains(name, "*") {
		return true
	}
	switch strings.ToLower(name) {
	case "bash", "powershell", "monitor", "repl":
		return startsAnything(pattern)
	case "task", "agent":
		return true
	}
	return false
}

// startsAnything reports whether command lines that match the pattern can start
// any program: the first word is not a plain name, or it is that of a shell, a
// launcher or claude. More than one command in a pattern is not looked through.
func startsAnything(pattern string) bool {
	if strings.ContainsAny(pattern, ";&|<>`$") {
		return true
	}
	words := strings.Fields(pattern)
	for len(words) > 0 && isAssignment(words[0]) {
		words = words[1:]
	}
	if len(words) == 0 || pattern[0] == ' ' {
		return true
	}
	word, _ := strings.CutSuffix(words[0], ":*")
	if !onlyBytes(word, programBytes) || word == "" {
		return true
	}
	name := programName(word)
	switch name {
	case "busybox", "claude", "fd", "find", "toybox":
		return true
	case ".", "builtin", "case", "command", "coproc", "eval", "exec", "for", "function", "if", "select", "source", "time", "trap", "until", "while":
		return true // of the shell that Bash is
	}
	return isShell(name) || isLauncher(name)
}

const programBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+-@%"

// isAssignment accepts NAME=value before a command.
func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && name != "" && onlyBytes(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
}
