package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"time"
)

// Claude asks Claude Code to work on a prompt.
type Claude struct {
	Prompt         string   `json:"prompt"`
	SessionID      string   `json:"session_id,omitempty"`
	Model          string   `json:"model,omitempty"`
	MaxTurns       int      `json:"max_turns,omitempty"`
	PermissionMode string   `json:"permission_mode,omitempty"`
	AllowedTools   []string `json:"allowed_tools,omitempty"`
}

// Shell runs a program: exactly one of Command, a line of words, and Argv.
type Shell struct {
	Command string            `json:"command,omitempty"`
	Argv    []string          `json:"argv,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
}

// Git runs git with the arguments, the subcommand first.
type Git struct {
	Args []string `json:"args"`
}

// RunOptions are the same for all kinds of commands. Nil and the zero value are
// good.
type RunOptions struct {
	Dir     string        // working folder, relative to the project's
	Timeout time.Duration // defaults to the server's
	// MaxWait lets the command wait for a place where too many run, for that
	// long at most. Defaults to not waiting: then the call is TooManyCommands.
	MaxWait time.Duration
	// IdempotencyKey makes a repeated call return the first one's command.
	// Defaults to a random one: the Client repeats a call whose answer is
	// lost, and no command shall run twice for that.
	IdempotencyKey string
}

// RunClaude starts a prompt and returns at once; Follow reads what comes of it.
func (c *Client) RunClaude(ctx context.Context, project string, claude Claude, opts *RunOptions) (Command, error) {
	return c.run(ctx, project, "claude", opts, func(o place) any {
		return struct {
			Claude
			place
		}{claude, o}
	})
}

// RunShell starts a program and returns at once; Follow reads what it prints.
func (c *Client) RunShell(ctx context.Context, project string, shell Shell, opts *RunOptions) (Command, error) {
	return c.run(ctx, project, "shell", opts, func(o place) any {
		return struct {
			Shell
			place
		}{shell, o}
	})
}

// RunGit starts a git command and returns at once; Follow reads what it prints.
func (c *Client) RunGit(ctx context.Context, project string, git Git, opts *RunOptions) (Command, error) {
	return c.run(ctx, project, "git", opts, func(o place) any {
		return struct {
			Git
			place
		}{git, o}
	})
}

// place is the part of a body that RunOptions become.
type place struct {
	Dir     string `json:"cwd,omitempty"`
	Timeout string `json:"timeout,omitempty"`
	MaxWait string `json:"max_wait,omitempty"`
}

func (c *Client) run(ctx context.Context, project, kind string, opts *RunOptions, body func(place) any) (Command, error) {
	var o RunOptions
	if opts != nil {
		o = *opts
	}
	where := place{Dir: o.Dir}
	if o.Timeout != 0 {
		where.Timeout = o.Timeout.String()
	}
	if o.MaxWait != 0 {
		where.MaxWait = o.MaxWait.String()
	}
	var cmd Command
	err := c.do(ctx, call{
		method:  http.MethodPost,
		path:    projectPath(project) + "/" + kind,
		body:    body(where),
		headers: map[string]string{"Idempotency-Key": cmp.Or(o.IdempotencyKey, rand.Text())},
		again:   true,
	}, &cmd)
	return cmd, err
}
