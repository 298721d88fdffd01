package main

import (
	"github.com/spf13/cobra"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	var after uint64
	cmd := mirrored(&cobra.Command{
		Use:   "logs [-f] [PROJECT/]ID",
		Short: "Print the output of a command, now or later",
		Long: `Print what a command has printed, standard error apart from standard output. With
-f, go on until it ends, and exit as it did; Ctrl-C ends the reading alone, the
command goes on.`,
		Example: "  rdev logs cmd-01k9…\n  rdev logs -f web/cmd-01k9…",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.connect()
			if err != nil {
				return err
			}
			defer r.Close()
			found, err := r.locate(cmd.Context(), args[0])
			if err != nil {
				return r.explain(err)
			}
			if follow {
				return a.followOnly(cmd.Context(), r, found, after)
			}
			return a.printLog(cmd.Context(), r, found, after)
		},
	})
	addFlags(cmd.Flags(), "client")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the command ends")
	cmd.Flags().Uint64Var(&after, "after", 0, "leave out the first so many lines")
	return cmd
}
