package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/server/client"
)

func (a *app) psCommand() *cobra.Command {
	var limit int
	var running bool
	cmd := &cobra.Command{
		Use:     "ps [PROJECT]",
		Short:   "List commands, newest first",
		Long:    `List the commands of a project, or of all, newest first: those that run and those that ended.`,
		Example: "  rdev ps\n  rdev ps --running -o jsonl",
		Args:    usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usagef("--limit must be above 0")
			}
			r, err := a.connect()
			if err != nil {
				return err
			}
			defer r.Close()
			commands, err := r.recent(cmd.Context(), args, running, limit)
			if err != nil {
				return r.explain(err)
			}
			return printList(a, "commands", commands, commandTable(commands, time.Now()))
		},
		ValidArgsFunction: a.completeProject,
	}
	addFlags(cmd.Flags(), "client")
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "list at most so many")
	cmd.Flags().BoolVar(&running, "running", false, "list only what has not ended")
	return cmd
}

// recent returns the newest commands of the projects, or of all.
func (r *remote) recent(ctx context.Context, projects []string, running bool, limit int) ([]client.Command, error) {
	if len(projects) == 0 {
		all, err := r.Projects(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			projects = append(projects, p.Name)
		}
	}
	var states []client.State
	if running {
		states = []client.State{client.Queued, client.Running}
	}
	var found []client.Command
	for _, project := range projects {
		options := client.ListOptions{States: states}
		for left := limit; left > 0; {
			options.Limit = min(left, 200)
			page, err := r.Commands(ctx, project, options)
			if err != nil {
				return nil, err
			}
			found = append(found, page.Commands...)
			left -= len(page.Commands)
			if options.Cursor = page.NextCursor; options.Cursor == "" {
				break
			}
		}
	}
	// Ids sort by time.
	slices.SortFunc(found, func(a, b client.Command) int { return strings.Compare(b.ID, a.ID) })
	return found[:min(len(found), limit)], nil
}

// locate finds a command by PROJECT/ID or by its ID alone.
func (r *remote) locate(ctx context.Context, name string) (client.Command, error) {
	if project, id, named := strings.Cut(name, "/"); named {
		return r.Command(ctx, project, id)
	}
	projects, err := r.Projects(ctx)
	if err != nil {
		return client.Command{}, err
	}
	for _, p := range projects {
		found, err := r.Command(ctx, p.Name, name)
		if err == nil || !errors.Is(err, client.UnknownCommand) {
			return found, err
		}
	}
	return client.Command{}, &client.Error{Code: client.UnknownCommand, Message: fmt.Sprintf("there is no command %q; rdev ps lists them", name)}
}

func commandTable(commands []client.Command, now time.Time) *table {
	t := &table{head: []string{"ID", "PROJECT", "STATE", "EXIT", "STARTED", "TOOK", "COMMAND"}}
	for _, c := range commands {
		took := "-"
		switch {
		case c.Result != nil:
			took = span(time.Duration(c.Result.DurationMS) * time.Millisecond)
		case c.State == client.Running && !c.StartedAt.IsZero():
			took = span(now.Sub(c.StartedAt))
		}
		started := c.StartedAt
		if started.IsZero() {
			started = c.CreatedAt
		}
		t.add(c.ID, c.Project, string(c.State), exitCell(c), ago(now, started), took, commandLine(c))
	}
	return t
}

// exitCell is how a command ended, in a word.
func exitCell(c client.Command) string {
	switch {
	case c.Result != nil && c.Result.Signal != "":
		return c.Result.Signal
	case c.Result != nil:
		return fmt.Sprint(c.Result.ExitCode)
	case c.Error != nil:
		return string(c.Error.Code)
	}
	return "-"
}

// commandLine is what runs, shortened, as one could type it.
func commandLine(c client.Command) string {
	words := make([]string, len(c.Argv))
	for i, arg := range c.Argv {
		words[i] = shellWord(arg)
	}
	const most = 60
	line := []rune(strings.Join(words, " "))
	if len(line) > most {
		line = append(line[:most-1], '…')
	}
	return string(line)
}
