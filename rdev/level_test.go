package rdev_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// TestAProjectsLevelReplacesTheServices asks in projects of every level, on a
// Service of every level, for what tells the levels apart: a program that no
// list has, and text for a shell.
func TestAProjectsLevelReplacesTheServices(t *testing.T) {
	requests := map[string]rdev.Request{
		"hello":      shell("hello"),
		"hello; sh ": {Request: policy.Request{Shell: &policy.Shell{Command: "hello; sh "}}},
	}
	allowed := map[policy.Level][]string{policy.Strict: nil, policy.Restricted: {"hello"}, policy.Permissive: {"hello", "hello; sh "}}
	for _, server := range []policy.Level{policy.Strict, policy.Restricted, policy.Permissive} {
		s := newParts(t).open(t, func(c *rdev.Config) {
			c.Policy = policy.Policy{Level: server, AllowShell: server == policy.Permissive}
			c.Projects = rdev.FixedProjects(rdev.Project{Name: "none"}, rdev.Project{Name: "strict", Policy: policy.Strict},
				rdev.Project{Name: "restricted", Policy: policy.Restricted}, rdev.Project{Name: "permissive", Policy: policy.Permissive})
		})
		for project, level := range map[string]policy.Level{"none": server, "strict": policy.Strict, "restricted": policy.Restricted, "permissive": policy.Permissive} {
			t.Run(string(server)+" server, project "+project, func(t *testing.T) {
				is := is.New(t)
				for text, req := range requests {
					req.Project = project
					_, _, err := s.Run(t.Context(), auth.Admin(), req)
					is.Equal(err == nil, slices.Contains(allowed[level], text))
					is.True(err == nil || errors.Is(err, policy.ErrRefused))
				}
			})
		}
	}
}

func TestAProjectOfAnUnknownLevelAllowsNothing(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t, func(c *rdev.Config) { c.Projects = unchecked{{Name: "app", Policy: "lax"}} })
	_, _, err := s.Run(t.Context(), auth.Admin(), shell("hello"))
	is.True(errors.Is(err, policy.ErrRefused))
}

// unchecked are projects as discovery may find them.
type unchecked []rdev.Project

func (u unchecked) List(context.Context) ([]rdev.Project, error) { return u, nil }

func (u unchecked) Get(_ context.Context, name string) (rdev.Project, error) {
	for _, p := range u {
		if p.Name == name {
			return p, nil
		}
	}
	return rdev.Project{}, rdev.ErrProjectNotFound
}
