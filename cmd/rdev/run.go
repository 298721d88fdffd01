package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
)

// run is the whole program: it returns the exit code. Nothing below it reads
// the process's environment or standard streams by itself, so that tests call
// it in process.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr, notify: notifySignals}
	return a.run(ctx, args)
}

// An app is one run of the program: what it was given, and what its commands
// share.
type app struct {
	getenv func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	// notify relays signals to the channel until stop is called.
	notify func(c chan<- os.Signal, signals ...os.Signal) (stop func())

	config Config // loaded before a command runs
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	code := exitCode(err, mirrorsExit(cmd))
	if message := errorText(err); message != "" {
		fmt.Fprintf(a.stderr, "%s %s\n", a.paint(bold, "rdev:"), message)
	}
	return code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "rdev",
		Short: "Run commands in projects and stream what they print",
		Long: `rdev runs commands in projects and streams what they print, so that nothing
printed is lost and no outcome is invented. On a laptop a project is a folder.

  rdev serve                      start a server for the current folder
  rdev run -- make test           run a command there, from another terminal
  rdev logs -f ID                 read its output, now or later

Settings come from flags, else from RDEV_* variables, else from the file that
--config or RDEV_CONFIG names (default: rdev/config.yaml in your configuration
folder), else from their defaults; "rdev serve --print-config" lists them all.

Exit codes of run, git, claude and logs -f are the remote command's own, and
  124 it timed out              125 rdev or the connection failed
  126 refused, not executable   127 no such program, project or command
  130 interrupted, cancelled    128+n ended by signal n
Others: 0 done, 1 failed, 2 wrong usage, 4 the key is missing or not allowed.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			cmd.SuggestionsMinimumDistance = 2
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return usagef("there is no command %q; did you mean %q?", args[0], near[0])
			}
			return usagef("there is no command %q; see rdev help", args[0])
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			a.config, err = loadConfig(cmd.Flags(), a.getenv)
			return err
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	root.PersistentFlags().String("config", "", "read settings from this YAML file (RDEV_CONFIG)")
	root.AddGroup(&cobra.Group{ID: "run", Title: "Commands that run something:"},
		&cobra.Group{ID: "look", Title: "Commands that look and manage:"})
	root.AddCommand(
		grouped("run", a.serveCommand(), a.runCommand(), a.gitCommand(), a.claudeCommand())...)
	root.AddCommand(
		grouped("look", a.psCommand(), a.logsCommand(), a.cancelCommand(), a.projectsCommand(), a.keysCommand(), a.auditCommand(), a.doctorCommand(), a.versionCommand())...)
	root.AddCommand(a.shimCommand())
	return root
}

func grouped(id string, commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		c.GroupID = id
	}
	return commands
}

func notifySignals(c chan<- os.Signal, signals ...os.Signal) func() {
	signal.Notify(c, signals...)
	return func() { signal.Stop(c) }
}
