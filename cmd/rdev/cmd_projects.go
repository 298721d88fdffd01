package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) projectsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "projects",
		Short: "List the projects that the key may see",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := a.connect()
			if err != nil {
				return err
			}
			defer r.Close()
			projects, err := r.Projects(cmd.Context())
			if err != nil {
				return r.explain(err)
			}
			t := &table{head: []string{"PROJECT", "STATUS", "DESCRIPTION"}}
			for _, p := range projects {
				status := p.Status
				if p.Detail != "" {
					status += ": " + p.Detail
				}
				t.add(p.Name, status, p.Description)
			}
			return printList(a, "projects", projects, t)
		},
	}
	addFlags(cmd.Flags(), "client")
	return cmd
}

// completeProject offers the names of projects for the first argument. A shell
// waits for the answer, so it takes none for one after a while.
func (a *app) completeProject(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	// The hooks of the command do not run here.
	config, err := loadConfig(cmd.Flags(), a.getenv)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	a.config = config
	r, err := a.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer r.Close()
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, 2*time.Second)
	defer cancel()
	projects, err := r.Projects(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, p := range projects {
		if strings.HasPrefix(p.Name, typed) {
			names = append(names, cobra.CompletionWithDesc(p.Name, cell(p.Description)))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
