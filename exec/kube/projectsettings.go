package kube

import (
	"fmt"
	"maps"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// ProjectSettings override what a project's pods say of it. They stand in the
// ConfigMap rdev-config under projects.yaml, by the value of the pods' label
// rdev.orchard9.ai/name:
//
//	web-prod:
//	  name: web
//	  description: The web shop
//	  container: claudebox
//	  workspace: /workspace
//	  policy: strict
//	  limits:
//	    commands: 4
//	    commands_per_key: 2
//	    timeout: 30m
//	    output: 64Mi
//
// A project that stands there and has no pod is shown as not_found. Text that
// is not valid changes nothing: the last good settings hold, all of them, and
// every project shows the error in its Detail.
type ProjectSettings struct {
	// Name is the project's in place of the label's value, which need not be
	// a project's name then. Pods that are labelled with Name itself belong to
	// the project, too.
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	// Container and Workspace are as the annotations of the same name.
	Container string `json:"container,omitempty"`
	Workspace string `json:"workspace,omitempty"`
	// Policy is rdev.Project.Policy: strict, restricted or permissive.
	Policy policy.Level  `json:"policy,omitempty"`
	Limits ProjectLimits `json:"limits,omitzero"`
}

// ProjectLimits are rdev.Limits as people write them.
type ProjectLimits struct {
	Commands       int               `json:"commands,omitempty"`
	CommandsPerKey int               `json:"commands_per_key,omitempty"`
	Timeout        metav1.Duration   `json:"timeout,omitzero"` // 90s, 30m, 2h
	Output         resource.Quantity `json:"output,omitzero"`  // bytes: 1000000, 64Mi
}

func (l ProjectLimits) limits() rdev.Limits {
	return rdev.Limits{Commands: l.Commands, CommandsPerKey: l.CommandsPerKey, Timeout: l.Timeout.Duration, Output: l.Output.Value()}
}

// projectSettings are those of all projects. The zero value has none.
type projectSettings struct {
	byName map[string]ProjectSettings // by the name of the project
	names  map[string]string          // from the label's value to the name, where they differ
	labels map[string]string          // and back
}

// of returns the settings of a project, and whether there are some.
func (s projectSettings) of(project string) (ProjectSettings, bool) {
	set, ok := s.byName[project]
	return set, ok
}

// nameOf returns the project that pods with that label belong to.
func (s projectSettings) nameOf(label string) string {
	return orDefault(s.names[label], label)
}

// labelsOf returns the labels of the project's pods.
func (s projectSettings) labelsOf(project string) []string {
	var labels []string
	if s.nameOf(project) == project { // its pods have no other name
		labels = append(labels, project)
	}
	if label, ok := s.labels[project]; ok {
		labels = append(labels, label)
	}
	return labels
}

// parseSettings takes all that is in the ConfigMap, or nothing.
func parseSettings(data map[string]string) (projectSettings, error) {
	for key := range data {
		if key != SettingsKey {
			return projectSettings{}, fmt.Errorf("%s: there is a key %q, want %s alone", SettingsName, key, SettingsKey)
		}
	}
	entries := make(map[string]ProjectSettings)
	if err := yaml.UnmarshalStrict([]byte(data[SettingsKey]), &entries); err != nil {
		return projectSettings{}, fmt.Errorf("%s: %s: %w", SettingsName, SettingsKey, err)
	}
	all := projectSettings{
		byName: make(map[string]ProjectSettings, len(entries)),
		names:  make(map[string]string),
		labels: make(map[string]string),
	}
	for _, label := range slices.Sorted(maps.Keys(entries)) { // so that the same text has the same error
		set := entries[label]
		name := orDefault(set.Name, label)
		if err := set.validate(name); err != nil {
			return projectSettings{}, fmt.Errorf("%s: %s: %w", SettingsName, label, err)
		}
		if _, taken := all.byName[name]; taken {
			return projectSettings{}, fmt.Errorf("%s: %s: another entry is the project %s already", SettingsName, label, name)
		}
		all.byName[name] = set
		if name != label {
			all.names[label], all.labels[name] = name, label
		}
	}
	return all, nil
}

func (p ProjectSettings) validate(name string) error {
	switch {
	case !rdev.ValidProjectName(name):
		return fmt.Errorf("%q cannot name a project: want a-z, 0-9 and -, at most 63 of them", name)
	case p.Workspace != "" && !path.IsAbs(p.Workspace):
		return fmt.Errorf("the workspace %q is not absolute", p.Workspace)
	case !p.Policy.Valid():
		return fmt.Errorf("the policy is %q, want strict, restricted or permissive", p.Policy)
	case p.Limits.Timeout.Duration < 0:
		return fmt.Errorf("limits: the timeout %v is negative", p.Limits.Timeout.Duration)
	case p.Limits.Output.Sign() < 0:
		return fmt.Errorf("limits: the output %s is negative", p.Limits.Output.String())
	}
	return p.Limits.limits().Validate()
}
