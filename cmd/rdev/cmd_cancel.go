package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) cancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel [PROJECT/]ID",
		Short: "End a command and all of its processes",
		Long: `Ask for the end of a command: TERM to its processes, KILL after a grace period.
It does not wait for that; rdev logs -f shows the end. A command that has ended
stays as it is.`,
		Args: usage(cobra.ExactArgs(1)),
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
			found, err = r.Cancel(cmd.Context(), found.Project, found.ID)
			if err != nil {
				return r.explain(err)
			}
			if found.State.Terminal() {
				a.notice("%s had ended already: %s", found.ID, found.State)
			} else {
				a.notice("%s is being cancelled; see its end with rdev logs -f %s", found.ID, found.ID)
			}
			return printOne(a, found, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, found.ID)
				return err
			})
		},
	}
	addFlags(cmd.Flags(), "client")
	return cmd
}
