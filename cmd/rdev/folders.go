package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// folders are the projects of a server that runs commands on its own machine:
// names with the folders they stand for. They implement rdev.Projects.
type folders struct {
	list []folder // by name
}

type folder struct {
	name string
	path string // absolute
	// policy is the level for commands in it, empty for the server's.
	policy policy.Level
}

// parseFolders reads the projects of the settings; without any, the current
// folder is the one project. home is what ~ stands for: shells leave it as it is
// behind a =.
func parseFolders(specs []string, home string) (*folders, error) {
	if len(specs) == 0 {
		specs = []string{"."}
	}
	seen := map[string]string{}
	f := &folders{}
	for _, spec := range specs {
		project, err := parseFolder(spec, home)
		if err != nil {
			return nil, err
		}
		if other, taken := seen[project.name]; taken {
			return nil, usagef("two projects are called %q: %s and %s; name one with --project name=path", project.name, other, project.path)
		}
		seen[project.name] = project.path
		f.list = append(f.list, project)
	}
	slices.SortFunc(f.list, func(a, b folder) int { return strings.Compare(a.name, b.name) })
	return f, nil
}

// parseFolder reads name=path, or a path, whose last element then names it.
func parseFolder(spec, home string) (folder, error) {
	name, path, named := strings.Cut(spec, "=")
	if !named {
		name, path = "", spec
	}
	if path == "" {
		return folder{}, usagef("project %q has no folder; write --project name=path", spec)
	}
	if rest, inHome := strings.CutPrefix(path, "~"); inHome && home != "" && (rest == "" || rest[0] == filepath.Separator) {
		path = home + rest
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return folder{}, fmt.Errorf("project %q: %w", spec, err)
	}
	switch info, err := os.Stat(full); {
	case err != nil:
		return folder{}, usagef("project %q: there is no folder %s", spec, full)
	case !info.IsDir():
		return folder{}, usagef("project %q: %s is not a folder", spec, full)
	}
	if !named {
		name = projectName(filepath.Base(full))
	}
	if !rdev.ValidProjectName(name) {
		return folder{}, usagef("project %q: %q cannot name a project; use a-z, 0-9 and -, at most 63 of them", spec, name)
	}
	return folder{name: name, path: full}, nil
}

// setPolicies reads name=policy.
func (f *folders) setPolicies(specs []string) error {
	for _, spec := range specs {
		name, level, _ := strings.Cut(spec, "=")
		at := slices.IndexFunc(f.list, func(p folder) bool { return p.name == name })
		if at < 0 {
			return usagef("project_policies has %q, and there is no project %q", spec, name)
		}
		if level == "" || !policy.Level(level).Valid() {
			return usagef("project_policies has %q, want %s=strict, restricted or permissive", spec, name)
		}
		f.list[at].policy = policy.Level(level)
	}
	return nil
}

// projectName makes a valid project name of any text: "My App" is my-app.
func projectName(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := b.String()
	name = strings.Trim(name[:min(len(name), 63)], "-")
	if name == "" {
		return "project"
	}
	return name
}

// paths returns the folder of each project.
func (f *folders) paths() map[string]string {
	m := make(map[string]string, len(f.list))
	for _, project := range f.list {
		m[project.name] = project.path
	}
	return m
}

// Get implements rdev.Projects.
func (f *folders) Get(_ context.Context, name string) (rdev.Project, error) {
	for _, project := range f.list {
		if project.name == name {
			return project.project(), nil
		}
	}
	return rdev.Project{}, rdev.ErrProjectNotFound
}

// List implements rdev.Projects.
func (f *folders) List(context.Context) ([]rdev.Project, error) {
	all := make([]rdev.Project, len(f.list))
	for i, project := range f.list {
		all[i] = project.project()
	}
	return all, nil
}

// project looks whether the folder is still there.
func (f folder) project() rdev.Project {
	p := rdev.Project{Name: f.name, Description: f.path, Status: rdev.StatusRunning, Policy: f.policy}
	if info, err := os.Stat(f.path); err != nil || !info.IsDir() {
		p.Status, p.Detail = rdev.StatusNotFound, "the folder is not there"
	}
	return p
}
