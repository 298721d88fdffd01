package kube

import (
	"errors"
	"fmt"
	"path"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/orchard9/rdev/rdev"
)

// The ConfigMap with the settings of projects, and the key in it.
const (
	SettingsName = "rdev-config"
	SettingsKey  = "projects.yaml"
)

// ProjectSettings override what a project's pod says of itself. They stand in
// the ConfigMap rdev-config under projects.yaml, by the name of the project:
//
//	web:
//	  description: The web shop
//	  container: claudebox
//	  workspace: /workspace
//
// A project that stands there and has no pod is shown as not_found. Text that
// is not valid changes nothing: the last good settings hold, and every project
// shows the error in its Detail.
type ProjectSettings struct {
	Description string `json:"description,omitempty"`
	Container   string `json:"container,omitempty"`
	Workspace   string `json:"workspace,omitempty"`
}

// settings are the last good ones, and what is wrong with those that followed.
type settings struct {
	mu       sync.Mutex
	projects map[string]ProjectSettings
	problem  error // in the text of the ConfigMap
	watching error // why it cannot be read
}

func (s *settings) get() (map[string]ProjectSettings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.projects, errors.Join(s.problem, s.watching)
}

// set takes the ConfigMap as it is now; nil is none.
func (s *settings) set(m *corev1.ConfigMap) {
	projects, err := map[string]ProjectSettings(nil), error(nil)
	if m != nil {
		projects, err = parseSettings(m.Data)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem = err; err == nil {
		s.projects = projects // never changed after this
	}
}

// readable takes the answer to an attempt to read the ConfigMap. A server that
// is away for a moment is no reason to tell people about their settings; one
// that refuses is.
func (s *settings) readable(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.watching = nil
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		s.watching = fmt.Errorf("%s cannot be read: %w", SettingsName, err)
	}
}

func parseSettings(data map[string]string) (map[string]ProjectSettings, error) {
	projects := make(map[string]ProjectSettings)
	for key := range data {
		if key != SettingsKey {
			return nil, fmt.Errorf("%s: there is a key %q, want %s alone", SettingsName, key, SettingsKey)
		}
	}
	if err := yaml.UnmarshalStrict([]byte(data[SettingsKey]), &projects); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", SettingsName, SettingsKey, err)
	}
	for name, p := range projects {
		switch {
		case !rdev.ValidProjectName(name):
			return nil, fmt.Errorf("%s: %q cannot name a project", SettingsName, name)
		case p.Workspace != "" && !path.IsAbs(p.Workspace):
			return nil, fmt.Errorf("%s: the workspace of %s is not absolute", SettingsName, name)
		}
	}
	return projects, nil
}
