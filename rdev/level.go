package rdev

import (
	"errors"
	"strings"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
)

// policyOf returns the policy for the caller's commands in a project. The level
// is the project's, or else Config.Policy's; the key may narrow it. Its scopes
// are the only way to a shell and to what widens the permissions of claude, and
// no way in levels that have neither.
func (s *Service) policyOf(caller auth.Principal, project Project) policy.Policy {
	p := s.cfg.Policy
	p.Level = s.levelOf(project).Min(keyLevel(caller.Policy))
	if p.Level == policy.Permissive && !caller.Can(auth.ScopeShellUnrestricted) {
		p.Level = policy.Restricted
	}
	p.AllowShell = p.Level == policy.Permissive
	p.WidenClaude = p.Level != policy.Strict && caller.Can(auth.ScopeClaudeUnrestricted)
	return p
}

// levelOf returns the level of a project, never the empty one.
func (s *Service) levelOf(project Project) policy.Level {
	for _, level := range []policy.Level{project.Policy, s.cfg.Policy.Level} {
		if level != "" {
			return level
		}
	}
	return policy.Restricted
}

// keyLevel returns the bound that a key sets. None is the widest level.
func keyLevel(bound string) policy.Level {
	if bound == "" {
		return policy.Permissive
	}
	return policy.Level(bound)
}

// covers reports whether the key would allow nothing that the caller may not do.
func covers(caller auth.Principal, key auth.Key) bool {
	if !caller.CoversKey(key) {
		return false
	}
	own, other := keyLevel(caller.Policy), keyLevel(key.Policy)
	return caller.Admin || other.Min(own) == other
}

// widenings are the steps that allow more, the smallest first.
var widenings = []struct {
	level policy.Level
	scope auth.Scope // empty if the level is enough
}{
	{policy.Restricted, ""},
	{policy.Restricted, auth.ScopeClaudeUnrestricted},
	{policy.Permissive, auth.ScopeShellUnrestricted},
}

// hint adds to a Refusal what would allow the request, if anything would.
func (s *Service) hint(err error, caller auth.Principal, project Project, req policy.Request) error {
	var refusal *policy.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	for _, w := range widenings {
		p := s.cfg.Policy
		p.Level, p.AllowShell, p.WidenClaude = w.level, w.level == policy.Permissive, w.scope == auth.ScopeClaudeUnrestricted
		if _, err := p.Plan(req); err != nil {
			continue
		}
		var needs []string
		if s.levelOf(project).Min(w.level) != w.level {
			needs = append(needs, "the policy "+string(w.level)+" for the project")
		}
		if keyLevel(caller.Policy).Min(w.level) != w.level {
			needs = append(needs, "a key that is not held to the policy "+caller.Policy)
		}
		if w.scope != "" && !caller.Can(w.scope) {
			needs = append(needs, "a key with the scope "+string(w.scope))
		}
		refusal.Hint = "this needs " + strings.Join(needs, " and ")
		return err
	}
	return err
}
