package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/server/client"
)

// runFlags are the flags that all commands which run something have.
type runFlags struct {
	dir            string
	timeout        time.Duration
	maxWait        time.Duration
	detach         bool
	idempotencyKey string
}

func (f *runFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "cwd", "", "folder to run in, relative to the project's")
	flags.DurationVar(&f.timeout, "timeout", 0, "end the command after that time, 30s or 2h for example (default: the server's)")
	flags.DurationVar(&f.maxWait, "max-wait", 0, "if too many commands run, wait for a place for that time at most (default: not at all)")
	flags.BoolVarP(&f.detach, "detach", "d", false, "print the id of the command and leave it running")
	flags.StringVar(&f.idempotencyKey, "idempotency-key", "", "run once, however often this is called with the same key")
	addFlags(flags, "client")
}

func (f *runFlags) options() (*client.RunOptions, error) {
	if f.timeout < 0 {
		return nil, usagef("--timeout is negative")
	}
	if f.maxWait < 0 {
		return nil, usagef("--max-wait is negative")
	}
	return &client.RunOptions{Dir: f.dir, Timeout: f.timeout, MaxWait: f.maxWait, IdempotencyKey: f.idempotencyKey}, nil
}

func (a *app) runCommand() *cobra.Command {
	var flags runFlags
	var env []string
	cmd := mirrored(&cobra.Command{
		Use:   "run [PROJECT] [flags] -- PROGRAM [ARGUMENT…]",
		Short: "Run a program in a project and print its output",
		Long: `Run a program in a project. Its output comes as it is, standard error apart from
standard output, and its exit code becomes this one's. PROJECT may be left out if
the key sees only one.

No shell is between: what follows -- is the program and its arguments. Pipes and
the like go into a script, or into sh -c '…' where the server's policy is
permissive.

Ctrl-C cancels the command and waits for its end, a second one kills it, and a
third one leaves at once. While the server has not answered whether it took the
command, the second one leaves.
When the terminal is closed the command goes on: rdev ps finds it, rdev logs -f
reads on.`,
		Example: `  rdev run -- make test
  rdev run web --cwd frontend --env CI=1 --timeout 10m -- npm test
  id=$(rdev run --detach -- ./nightly.sh)`,
		RunE: func(cmd *cobra.Command, args []string) error {
			project, argv, err := splitArgs(cmd, args, "make test")
			if err != nil {
				return err
			}
			options, err := flags.options()
			if err != nil {
				return err
			}
			variables, err := parseEnv(env, a.getenv)
			if err != nil {
				return err
			}
			return a.startIn(cmd.Context(), project, flags.detach, func(ctx context.Context, r *remote, project string) (client.Command, error) {
				return r.RunShell(ctx, project, client.Shell{Argv: argv, Env: variables}, options)
			})
		},
		ValidArgsFunction: a.completeProject,
	})
	flags.add(cmd)
	cmd.Flags().StringArrayVarP(&env, "env", "e", nil, "set a variable, NAME=value, or NAME with its value here; repeat it")
	return cmd
}

func (a *app) gitCommand() *cobra.Command {
	var flags runFlags
	cmd := mirrored(&cobra.Command{
		Use:     "git [PROJECT] [flags] -- SUBCOMMAND [ARGUMENT…]",
		Short:   "Run git in a project",
		Long:    `Run git in a project, as rdev run does with other programs.`,
		Example: "  rdev git -- status --short\n  rdev git web -- log --oneline -5",
		RunE: func(cmd *cobra.Command, args []string) error {
			project, arguments, err := splitArgs(cmd, args, "status")
			if err != nil {
				return err
			}
			options, err := flags.options()
			if err != nil {
				return err
			}
			return a.startIn(cmd.Context(), project, flags.detach, func(ctx context.Context, r *remote, project string) (client.Command, error) {
				return r.RunGit(ctx, project, client.Git{Args: arguments}, options)
			})
		},
		ValidArgsFunction: a.completeProject,
	})
	flags.add(cmd)
	return cmd
}

// startIn connects, finds the project if it was left out, and starts what run
// starts in it.
func (a *app) startIn(ctx context.Context, project string, detach bool, run func(context.Context, *remote, string) (client.Command, error)) error {
	r, err := a.connect()
	if err != nil {
		return err
	}
	defer r.Close()
	project, err = r.project(ctx, project)
	if err != nil {
		return err
	}
	return a.runAndFollow(ctx, r, func(ctx context.Context) (client.Command, error) {
		return run(ctx, r, project)
	}, detach)
}

// splitArgs tells the project from what follows "--".
func splitArgs(cmd *cobra.Command, args []string, example string) (project string, rest []string, err error) {
	dash := cmd.ArgsLenAtDash()
	if dash < 0 {
		return "", nil, usagef("put -- before what shall run, as in %s -- %s", cmd.CommandPath(), example)
	}
	switch {
	case dash > 1:
		return "", nil, usagef("there is more than a project before --: %s", strings.Join(args[:dash], " "))
	case len(args) == dash:
		return "", nil, usagef("nothing follows --, as in %s -- %s", cmd.CommandPath(), example)
	case dash == 1:
		project = args[0]
	}
	return project, args[dash:], nil
}

func parseEnv(settings []string, getenv func(string) string) (map[string]string, error) {
	if len(settings) == 0 {
		return nil, nil
	}
	env := make(map[string]string, len(settings))
	for _, s := range settings {
		name, value, given := strings.Cut(s, "=")
		if name == "" {
			return nil, usagef("--env %q has no name", s)
		}
		if !given {
			value = getenv(name)
		}
		env[name] = value
	}
	return env, nil
}

// printDetached prints the id alone, for scripts.
func (a *app) printDetached(cmd client.Command) error {
	return printOne(a, cmd, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, cmd.ID)
		return err
	})
}

func formatSeq(seq uint64) string { return strconv.FormatUint(seq, 10) }

func millis(ms int64) string { return span(time.Duration(ms) * time.Millisecond) }
