package rdev

import "github.com/orchard9/rdev/exec/policy"

// policyIn returns the policy for commands in a project.
func (s *Service) policyIn(project Project) policy.Policy {
	p := s.cfg.Policy
	if project.Policy != "" {
		p.Level = project.Policy
		p.AllowShell = project.Policy == policy.Permissive
	}
	return p
}
