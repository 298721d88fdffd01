package main

import (
	"context"
	"os"
	"path/filepath"

	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/exec/local"
	"github.com/orchard9/rdev/rdev"
)

// A workplace is where the commands of a server run, and the projects that it
// has for them.
type workplace struct {
	executor interface {
		exec.Executor
		exec.Locator
		Close(context.Context) error
	}
	projects rdev.Projects
	folders  *folders // for people; none where projects are pods
}

// openWorkplace opens what the setting executor says.
func openWorkplace(c Config, home string, failed func(error), observer kube.Observer, traces trace.TracerProvider) (workplace, error) {
	if c.Executor == "kubernetes" {
		return openKubernetes(c, failed, observer, traces)
	}
	projects, err := parseFolders(c.Projects, home)
	if err != nil {
		return workplace{}, err
	}
	if err := projects.setPolicies(c.ProjectPolicies); err != nil {
		return workplace{}, err
	}
	self, err := shimSelf()
	if err != nil {
		return workplace{}, err
	}
	executor, err := local.New(local.Config{
		Dir:     filepath.Join(c.DataDir, "commands"),
		Targets: local.Folders(projects.paths()),
		Env:     serverlessEnv(commandEnv(os.Environ()), !c.DatabaseURL.IsZero()),
		Shim:    &local.Shim{Command: self, Leave: c.OnShutdown == "leave"},
	})
	if err != nil {
		return workplace{}, storeError(c.DataDir, err)
	}
	return workplace{executor: executor, projects: projects, folders: projects}, nil
}

func openKubernetes(c Config, failed func(error), observer kube.Observer, traces trace.TracerProvider) (workplace, error) {
	if len(c.Projects)+len(c.ProjectPolicies) > 0 {
		return workplace{}, usagef("projects are folders, and with the executor kubernetes there are none: label pods instead")
	}
	config, namespace, err := kube.LoadConfig(c.Kubeconfig)
	if err != nil {
		return workplace{}, usagef("cannot find a cluster: %w", err)
	}
	if c.Namespace != "" {
		namespace = c.Namespace
	}
	executor, err := kube.New(config, &kube.Options{Namespace: namespace, Version: buildVersion().Version, OnError: failed, Observer: observer, TracerProvider: traces})
	if err != nil {
		return workplace{}, err
	}
	return workplace{executor: executor, projects: executor.Projects(), folders: &folders{}}, nil
}
