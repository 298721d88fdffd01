package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/server/client"
)

func (a *app) keysCommand() *cobra.Command {
	keys := &cobra.Command{
		Use:   "keys",
		Short: "Make, list, narrow, rotate and revoke keys",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	keys.AddCommand(a.keysCreate(), a.keysList(), a.keysGet(), a.keysNarrow(), a.keysRevoke(), a.keysRotate())
	for _, cmd := range keys.Commands() {
		addFlags(cmd.Flags(), "client")
	}
	return keys
}

func (a *app) keysCreate() *cobra.Command {
	var scopes, projects, addresses []string
	var level string
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a key; it is shown this once",
		Long: `Make a key that allows no more than your own. It is printed on standard output,
and cannot be had again. The scopes:

  ` + strings.Join(scopeNames(), "\n  "),
		Example: `  rdev keys create ci --scope commands:shell --scope streams:read --project web --expires 720h > ci.key`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.connect()
			if err != nil {
				return err
			}
			defer r.Close()
			spec := client.KeySpec{Name: args[0], Scopes: scopes, Projects: projects, Policy: level, AllowedAddresses: addresses}
			if expires < 0 {
				return usagef("--expires is negative")
			}
			if expires > 0 {
				spec.ExpiresAt = time.Now().Add(expires).UTC()
			}
			key, err := r.CreateKey(cmd.Context(), spec)
			if err != nil {
				return r.explain(err)
			}
			return a.printNewKey(key)
		},
	}
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "what the key may do; repeat it (required)")
	cmd.Flags().StringArrayVar(&projects, "project", []string{"*"}, "which projects it may see: a name, or a beginning with a *; repeat it")
	cmd.Flags().StringVar(&level, "policy", "", "the widest policy for its commands, whatever the projects allow: strict, restricted or permissive (default: your own)")
	cmd.Flags().StringArrayVar(&addresses, "allow-address", nil, "where it works from: an address, or a prefix such as 10.0.0.0/8; repeat it (default: where yours works)")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long it works, 24h for example; 0 is for ever")
	_ = cmd.RegisterFlagCompletionFunc("scope", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return scopeNames(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (a *app) keysList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List keys, newest first",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := a.connect()
			if err != nil {
				return err
			}
			defer r.Close()
			var keys []client.Key
			for cursor := ""; ; {
				page, err := r.Keys(cmd.Context(), cursor, 200)
				if err != nil {
					return r.explain(err)
				}
				keys = append(keys, page.Keys...)
				if cursor = page.NextCursor; cursor == "" {
					break
				}
			}
			return printList(a, "keys", keys, keyTable(keys, time.Now()))
		},
	}
}

func (a *app) keysGet() *cobra.Command {
	return a.keyVerb("get ID", "Show a key", func(cmd *cobra.Command, r *remote, id string) (client.Key, error) {
		return r.Key(cmd.Context(), id)
	})
}

func (a *app) keysRevoke() *cobra.Command {
	return a.keyVerb("revoke ID", "End a key at once", func(cmd *cobra.Command, r *remote, id string) (client.Key, error) {
		return r.RevokeKey(cmd.Context(), id)
	})
}

// keyVerb is a command that takes the id of a key and shows the key.
func (a *app) keyVerb(use, short string, do func(*cobra.Command, *remote, string) (client.Key, error)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.connect()
			if err != nil {
				return err
			}
			defer r.Close()
			key, err := do(cmd, r, args[0])
			if err != nil {
				return r.explain(err)
			}
			return printOne(a, key, keyTable([]client.Key{key}, time.Now()).write)
		},
	}
}

func (a *app) keysRotate() *cobra.Command {
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Make the successor of a key; it is shown this once",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.connect()
			if err != nil {
				return err
			}
			defer r.Close()
			if grace == 0 {
				grace = -1 // the client's word for at once
			}
			key, err := r.RotateKey(cmd.Context(), args[0], grace)
			if err != nil {
				return r.explain(err)
			}
			return a.printNewKey(key)
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", 24*time.Hour, "how long the old key goes on working; 0 ends it at once")
	return cmd
}

// printNewKey shows the one thing that can go into a file on standard output,
// and the rest beside it.
func (a *app) printNewKey(key client.NewKey) error {
	return printOne(a, key, func(w io.Writer) error {
		a.notice("key %s (%s); it is shown this once", key.ID, key.Name)
		_, err := fmt.Fprintln(w, key.Secret)
		return err
	})
}

func keyTable(keys []client.Key, now time.Time) *table {
	t := &table{head: []string{"ID", "NAME", "STATE", "CREATED", "USED", "PROJECTS", "SCOPES"}}
	for _, k := range keys {
		t.add(k.ID, k.Name, keyState(k, now), ago(now, k.CreatedAt), ago(now, k.LastUsedAt),
			strings.Join(k.Projects, ","), strings.Join(k.Scopes, ","))
	}
	return t
}

func keyState(k client.Key, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now):
		return "expired"
	case !k.ExpiresAt.IsZero():
		return "for " + span(k.ExpiresAt.Sub(now))
	}
	return "active"
}

func scopeNames() []string {
	names := make([]string, 0, len(auth.AllScopes()))
	for _, scope := range auth.AllScopes() {
		names = append(names, string(scope))
	}
	return names
}
