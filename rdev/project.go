package rdev

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
)

// Status is what a project's target is doing.
type Status string

// The statuses.
const (
	StatusRunning  Status = "running"   // commands can run
	StatusPending  Status = "pending"   // the target is starting
	StatusFailed   Status = "failed"    // the target is there and broken
	StatusNotFound Status = "not_found" // there is no target
)

// A Project is a place where commands run: a pod, or a folder on this machine.
type Project struct {
	// Name is 1 to 63 of [a-z0-9-], beginning and ending with a letter or
	// digit (a DNS label, RFC 1123).
	Name        string
	Description string
	Status      Status
	// Detail says why the status is not running, for people; and what else
	// they should know of the project, such as an error in its settings.
	Detail string
	// Policy is the level for commands in this project, in place of the
	// Service's. Defaults to that one, Config.Policy.Level.
	Policy policy.Level
	// Limits are the project's own. Defaults to the Service's.
	Limits Limits
}

// Target returns where the project's commands run.
func (p Project) Target() exec.Target { return exec.Target{Name: p.Name} }

// Projects is the port through which a Service knows its projects.
// Implementations are safe for concurrent use and answer from memory.
type Projects interface {
	// Get returns the project, or an error that wraps ErrProjectNotFound.
	Get(ctx context.Context, name string) (Project, error)
	// List returns all projects, by name.
	List(ctx context.Context) ([]Project, error)
}

// ValidProjectName reports whether name can name a project.
func ValidProjectName(name string) bool {
	if name == "" || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return true
}

// FixedProjects are projects that are known beforehand and are always running,
// such as folders on this machine. It panics if a name, a level or a limit is
// not valid or a name is there twice.
func FixedProjects(projects ...Project) Projects {
	all := slices.Clone(projects)
	slices.SortFunc(all, func(a, b Project) int { return strings.Compare(a.Name, b.Name) })
	for i := range all {
		if !ValidProjectName(all[i].Name) {
			panic(fmt.Sprintf("rdev: %q cannot name a project", all[i].Name))
		}
		if i > 0 && all[i].Name == all[i-1].Name {
			panic(fmt.Sprintf("rdev: the project %q is there twice", all[i].Name))
		}
		if !all[i].Policy.Valid() {
			panic(fmt.Sprintf("rdev: the project %q has the unknown policy %q", all[i].Name, all[i].Policy))
		}
		if err := all[i].Limits.Validate(); err != nil {
			panic(fmt.Sprintf("rdev: the project %q: %v", all[i].Name, err))
		}
		all[i].Status = StatusRunning
	}
	return fixedProjects(all)
}

type fixedProjects []Project

func (f fixedProjects) Get(_ context.Context, name string) (Project, error) {
	for _, p := range f {
		if p.Name == name {
			return p, nil
		}
	}
	return Project{}, ErrProjectNotFound
}

func (f fixedProjects) List(context.Context) ([]Project, error) { return slices.Clone(f), nil }
