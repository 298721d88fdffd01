package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/client"
)

// maxPrompt bounds what is read of a prompt; the server says no to less.
const maxPrompt = 16 << 20

func (a *app) claudeCommand() *cobra.Command {
	var flags runFlags
	var claude client.Claude
	cmd := mirrored(&cobra.Command{
		Use:   "claude [PROJECT] [flags] [PROMPT | -]",
		Short: "Give Claude Code a prompt in a project",
		Long: `Give Claude Code a prompt in a project. It prints the events of Claude Code, one
JSON object per line, as rdev run prints the output of other programs.

One argument of a single word is PROJECT; anything else, and all that follows --,
is the prompt. With - or without a prompt it is read from standard input.`,
		Example: `  rdev claude "explain what this project does"
  rdev claude web --permission-mode plan "add a login page"
  git diff | rdev claude web - --max-turns 3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			project, prompt, err := a.claudeArgs(cmd, args)
			if err != nil {
				return err
			}
			claude.Prompt = prompt
			options, err := flags.options()
			if err != nil {
				return err
			}
			return a.startIn(cmd.Context(), project, flags.detach, func(ctx context.Context, r *remote, project string) (client.Command, error) {
				return r.RunClaude(ctx, project, claude, options)
			})
		},
		ValidArgsFunction: a.completeProject,
	})
	flags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&claude.Model, "model", "", "model to use (default: Claude Code's)")
	f.StringVar(&claude.SessionID, "session-id", "", "session to go on with")
	f.IntVar(&claude.MaxTurns, "max-turns", 0, "stop after so many turns")
	f.StringVar(&claude.PermissionMode, "permission-mode", "", "default, plan, acceptEdits or dontAsk")
	f.StringSliceVar(&claude.AllowedTools, "allowed-tools", nil, `tools that need no permission, "Read,Bash(git log:*)" for example`)
	return cmd
}

// claudeArgs tells the project from the prompt by their form, so that the same
// line means the same whatever projects there are.
func (a *app) claudeArgs(cmd *cobra.Command, args []string) (project, prompt string, err error) {
	before, after := args, []string(nil)
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		before, after = args[:dash], args[dash:]
	}
	if len(before) > 0 && rdev.ValidProjectName(before[0]) {
		project, before = before[0], before[1:]
	}
	words := append(before[:len(before):len(before)], after...)
	prompt = strings.Join(words, " ")
	switch {
	case len(before) > 1:
		return "", "", usagef("the prompt is more than one argument; put quotes around it")
	case len(words) == 0 && isTerminal(a.stdin):
		return "", "", usagef("there is no prompt; give one in quotes, or - to read it from standard input")
	case len(words) == 0, prompt == "-" && len(after) == 0:
		text, err := io.ReadAll(io.LimitReader(a.stdin, maxPrompt))
		if err != nil {
			return "", "", usagef("cannot read the prompt: %w", err)
		}
		prompt = string(text)
	}
	if strings.TrimSpace(prompt) == "" {
		return "", "", usagef("the prompt is empty")
	}
	return project, prompt, nil
}
