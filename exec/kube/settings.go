package kube

import (
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The ConfigMap with the settings of projects, and the key in it.
const (
	SettingsName = "rdev-config"
	SettingsKey  = "projects.yaml"
)

// settings are the last good ones, and what is wrong with those that followed.
type settings struct {
	mu       sync.Mutex
	projects projectSettings
	problem  error // in the text of the ConfigMap
	watching error // why it cannot be read
}

func (s *settings) get() (projectSettings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.projects, errors.Join(s.problem, s.watching)
}

// set takes the ConfigMap as it is now; nil is none.
func (s *settings) set(m *corev1.ConfigMap) {
	projects, err := projectSettings{}, error(nil)
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

// areRefused reports whether the server has refused to give the ConfigMap.
func (s *settings) areRefused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watching != nil
}
