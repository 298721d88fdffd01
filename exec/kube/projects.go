package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/rdev"
)

// Projects are the projects of the pods that the Executor watches.
type Projects struct{ watcher *watcher }

var _ rdev.Projects = Projects{}

// Projects returns the projects that the pods belong to. They are live: the watch
// that New began takes the place of a RefreshStatus, so there is none. What the
// API server has told of is in the next answer, which comes from memory.
func (x *Executor) Projects() Projects { return Projects{watcher: x.watcher} }

// Get implements rdev.Projects.
func (p Projects) Get(_ context.Context, name string) (rdev.Project, error) {
	all, problem := p.watcher.settings.get()
	pods := p.watcher.byName(name)
	set, configured := all.of(name)
	if len(pods) == 0 && !configured || !rdev.ValidProjectName(name) {
		return rdev.Project{}, fmt.Errorf("exec/kube: %w: no pod is labelled %s=%q", rdev.ErrProjectNotFound, NameLabel, name)
	}
	return project(name, pods, set, problem), nil
}

// List implements rdev.Projects. A project that the settings name and no pod
// belongs to is there, too, with the status not_found.
func (p Projects) List(context.Context) ([]rdev.Project, error) {
	all, problem := p.watcher.settings.get()
	names := slices.Collect(maps.Keys(all.byName))
	for _, label := range p.watcher.labels() {
		names = append(names, all.nameOf(label))
	}
	slices.Sort(names)
	projects := make([]rdev.Project, 0, len(names))
	for _, name := range slices.Compact(names) {
		pods := p.watcher.byName(name)
		set, configured := all.of(name)
		if len(pods) == 0 && !configured || !rdev.ValidProjectName(name) {
			continue // the pod went in between, or its label is no project's name
		}
		projects = append(projects, project(name, pods, set, problem))
	}
	return projects, nil
}

func project(name string, pods []*corev1.Pod, set ProjectSettings, problem error) rdev.Project {
	out := rdev.Project{
		Name:        name,
		Description: set.Description,
		Status:      rdev.StatusNotFound,
		Policy:      set.Policy,
		Limits:      set.Limits.limits(),
	}
	var details []string
	if len(pods) == 0 {
		details = append(details, fmt.Sprintf("no pod is labelled %s=%s", NameLabel, name))
	} else {
		pod := choose(pods, set)
		var detail string
		if out.Status, detail = statusOf(pod, containerOf(pod, set)); detail != "" {
			details = append(details, detail)
		}
		if len(pods) > 1 {
			details = append(details, severalPods(pods))
		}
		for _, m := range []map[string]string{pod.Annotations, pod.Labels} {
			out.Description = orDefault(out.Description, m[DescriptionAnnotation])
		}
	}
	if problem != nil {
		details = append(details, problem.Error())
	}
	out.Detail = strings.Join(details, "; ")
	return out
}

// severalPods tells which of the pods, ordered by choose, is used.
func severalPods(pods []*corev1.Pod) string {
	var others []string
	for _, pod := range pods[1:] {
		others = append(others, pod.Name)
	}
	return fmt.Sprintf("%d pods have this name: commands run in %s, not in %s", len(pods), pods[0].Name, strings.Join(others, ", "))
}
