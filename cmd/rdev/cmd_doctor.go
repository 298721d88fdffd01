package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/exec/local"
	"github.com/orchard9/rdev/internal/doctor"
	"github.com/orchard9/rdev/store/postgres"
)

// doctorFlags are the settings that say where to look.
var doctorFlags = []string{"executor", "namespace", "kubeconfig", "data_dir", "projects"}

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [PROJECT…]",
		Short: "Look for what keeps rdev from working, and say how to mend it",
		Long: `Look for what keeps rdev from working, and say how to mend it: the server that
the settings name, or that runs here; the cluster and its pods, with the executor
kubernetes; the database of RDEV_DATABASE_URL; the folders and programs on this
machine. Clocks and versions are compared on the way.

Projects that are named are looked into, else the first one that runs. Short
commands run there, and the shim is placed in their pods. Nothing else is changed.

Each line says ok, warn or fail. The exit code is 1 if one says fail.`,
		Example: `  rdev doctor
  rdev doctor --executor kubernetes --namespace projects web
  kubectl exec deploy/rdev -- /rdev doctor --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				a.config.Output = "json"
			}
			return a.doctor(cmd.Context(), a.config, args)
		},
		ValidArgsFunction: a.completeProject,
	}
	addFlags(cmd.Flags(), "client")
	addFlagsIf(cmd.Flags(), func(s setting) bool { return slices.Contains(doctorFlags, s.key) })
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, as --output json does")
	return cmd
}

// doctor examines whatever the settings are about. Without a server that is
// named, everything is on this machine.
func (a *app) doctor(ctx context.Context, c Config, projects []string) error {
	report := &doctor.Report{Tell: a.tellFinding}
	a.examineServer(ctx, report, projects)
	here := c.Server == ""
	switch {
	case c.Executor == "kubernetes":
		examineCluster(ctx, report, c, projects)
	case here:
		a.examineFolders(ctx, report, c, projects)
	}
	if !c.DatabaseURL.IsZero() {
		report.Postgres(ctx, postgres.Options{DSN: c.DatabaseURL.Reveal(), Pooled: c.DatabasePooled})
	}
	if here {
		report.DataDir(ctx, c.DataDir, c.DatabaseURL.IsZero())
	}
	if a.config.Output == "json" {
		err := writeJSON(a.stdout, struct {
			OK     bool             `json:"ok"`
			Checks []doctor.Finding `json:"checks"`
		}{!report.Failed(), report.Findings()})
		if err != nil {
			return err
		}
	}
	if report.Failed() {
		return &exitError{code: exitFailed}
	}
	return nil
}

// tellFinding prints a finding as soon as it is there.
func (a *app) tellFinding(f doctor.Finding) {
	switch a.config.Output {
	case "json":
	case "jsonl":
		_ = writeJSON(a.stdout, f)
	default:
		state := fmt.Sprintf("%-4s", f.State)
		if f.State != doctor.OK {
			state = paint(a.stdout, a.getenv, bold, state)
		}
		fmt.Fprintf(a.stdout, "%s  %-16s  %s\n", state, f.Check, cell(f.Detail))
		if f.Mend != "" {
			fmt.Fprintf(a.stdout, "%22s  %s\n", "", cell("→ "+f.Mend))
		}
	}
}

// examineServer examines the server that the command line would talk to.
func (a *app) examineServer(ctx context.Context, report *doctor.Report, projects []string) {
	if c := a.config; c.APIKey.IsZero() && c.APIKeyFile == "" && c.Server == "" && endpoint(c.DataDir) != "" {
		// Where a server runs, its admin key may be set, and no other.
		a.config.APIKey, a.config.APIKeyFile = c.AdminKey, c.AdminKeyFile
	}
	r, err := a.connect()
	var none *noServerError
	var noKey *noKeyError
	switch {
	case errors.As(err, &none) && none.killed:
		report.Fail("server", "start one with rdev serve, or name one with RDEV_SERVER and RDEV_API_KEY_FILE", "the server that ran from %s was killed", a.config.DataDir)
		return
	case errors.As(err, &none):
		report.Warn("server", "start one with rdev serve, or name one with RDEV_SERVER and RDEV_API_KEY_FILE", "no server runs from %s", a.config.DataDir)
		return
	case errors.As(err, &noKey):
		report.Fail("key", "set RDEV_API_KEY_FILE or RDEV_API_KEY; rdev keys create makes a key", "there is no key to talk to the server with")
		return
	case err != nil:
		report.Fail("server", "correct the setting that the message names", "%s", describe(err))
		return
	}
	defer r.Close()
	s := doctor.Server{URL: r.url, Client: r.Client, Key: r.key.Reveal(), KeySource: r.keySource, Dial: r.dial, Version: buildVersion().String()}
	if len(projects) > 0 {
		s.Project = projects[0]
	}
	report.Server(ctx, s)
}

// examineCluster examines the cluster that rdev serve would work with.
func examineCluster(ctx context.Context, report *doctor.Report, c Config, projects []string) {
	config, namespace, err := kube.LoadConfig(c.Kubeconfig)
	if err != nil {
		report.Fail("cluster", "set RDEV_KUBECONFIG, or KUBECONFIG, or run this in a pod of the cluster", "cannot find a cluster: %v", err)
		return
	}
	if c.Namespace != "" {
		namespace = c.Namespace
	}
	report.Cluster(ctx, doctor.Cluster{
		Namespace: namespace,
		Projects:  projects,
		Survey:    func(ctx context.Context) (kube.Survey, error) { return kube.Ask(ctx, config) },
		Rights:    func(ctx context.Context) ([]kube.Right, error) { return kube.Rights(ctx, config, namespace) },
		Open: func() (*kube.Executor, error) {
			return kube.New(config, &kube.Options{Namespace: namespace, Version: buildVersion().Version, SyncTimeout: doctor.Patience, Patience: doctor.Patience})
		},
	})
}

// examineFolders examines what commands in folders of this machine find there.
// They run in this process, so that a server may have the data folder.
func (a *app) examineFolders(ctx context.Context, report *doctor.Report, c Config, named []string) {
	const check = "folders"
	const mend = "correct RDEV_PROJECTS, as name=path"
	projects, err := parseFolders(c.Projects, a.getenv("HOME"))
	if err != nil {
		report.Fail(check, mend, "%s", describe(err))
		return
	}
	state, err := os.MkdirTemp("", "rdev-doctor-*")
	if err != nil {
		report.Fail(check, "make the folder for temporary files writable, or name another with TMPDIR", "%v", err)
		return
	}
	defer os.RemoveAll(state)
	executor, err := local.New(local.Config{Dir: state, Targets: local.Folders(projects.paths()), Env: commandEnv(os.Environ())})
	if err != nil {
		report.Fail(check, "make the folder for temporary files writable, or name another with TMPDIR", "%v", err)
		return
	}
	defer func() { _ = executor.Close(context.WithoutCancel(ctx)) }()
	names := named
	if len(names) == 0 {
		names = []string{projects.list[0].name}
	}
	for _, name := range names {
		path, ok := projects.paths()[name]
		if !ok {
			report.Fail(check, mend, "there is no project %s among the folders", name)
			continue
		}
		report.Ok(check, "the project %s is %s", name, a.tilde(path))
		report.Target(ctx, executor, name)
	}
}
