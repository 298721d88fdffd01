package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// addEnv adds the variables of the request to a plan, whose own win over them.
func (p Policy) addEnv(plan Plan, env map[string]string) (Plan, error) {
	if err := p.checkEnv(plan.Type, env); err != nil || len(env) == 0 {
		return plan, err
	}
	all := maps.Clone(env)
	maps.Copy(all, plan.Env)
	plan.Env = all
	return plan, nil
}

// checkEnv checks the variables of a request, whose plan is of type t.
//
// git and claude can be told by their environment to run programs, and level
// Strict is about what runs; so there only variables are allowed that change
// how things look: LANG, LC_*, TZ, TERM, COLUMNS, LINES, CI, those about
// colours, and for git names, addresses and dates (GIT_AUTHOR_NAME and so on).
// Elsewhere every variable is allowed.
func (p Policy) checkEnv(t Type, env map[string]string) error {
	if p.Level == Permissive && p.AllowShell && t == TypeShell {
		return nil
	}
	if p.Level != Strict && t == TypeShell {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if reason := p.checkVariable(t, name, env[name]); reason != "" {
			return &Refusal{Code: "env.variable", Field: "env", Token: clip(name), Reason: reason}
		}
	}
	return nil
}

func (p Policy) checkVariable(t Type, name, value string) (reason string) {
	switch name {
	case "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE":
		if t == TypeGit {
			return ""
		}
	case "CI", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "LANG", "LANGUAGE", "LINES", "NO_COLOR", "TERM", "TZ":
		return checkPlainValue(value)
	default:
		if strings.HasPrefix(name, "LC_") {
			return checkPlainValue(value)
		}
	}
	return fmt.Sprintf("this variable may not be set for a %s command: it can change what is run", t)
}

// checkPlainValue refuses values with which the C library and others read a
// file of the caller's choice.
func checkPlainValue(value string) (reason string) {
	if strings.HasPrefix(value, "/") || strings.HasPrefix(value, ":") || strings.Contains(value, "..") || !isPlain(value) {
		return "this value names a file"
	}
	return ""
}

func validateEnv(env map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if err := checkText("env", name); err != nil {
			return err
		}
		if name == "" || strings.Contains(name, "=") {
			return fieldErrorf("env", "has a name that is empty or holds a =")
		}
		if err := checkText("env."+name, env[name]); err != nil {
			return err
		}
	}
	return nil
}
