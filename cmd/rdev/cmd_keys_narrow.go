package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/server/client"
)

func (a *app) keysNarrow() *cobra.Command {
	var change client.KeyChange
	var expires time.Duration
	var anywhere bool
	cmd := &cobra.Command{
		Use:   "narrow ID",
		Short: "Give a key less than it has",
		Long: `Give a key less than it has; what is not named stays as it is. It holds at once:
streams that the key allows no longer end, and commands that it could not start
any more are cancelled, unless the server is told to leave them. Only where the
key works from may become something else, as far as yours works there.`,
		Example: `  rdev keys narrow 4fQ0aB7xYz12 --scope streams:read --expires 1h
  rdev keys narrow 4fQ0aB7xYz12 --allow-address 192.0.2.0/24`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case expires < 0:
				return usagef("--expires is negative")
			case anywhere && change.AllowedAddresses != nil:
				return usagef("--allow-address and --allow-anywhere exclude each other")
			case anywhere:
				change.AllowedAddresses = []string{}
			}
			if expires > 0 {
				change.ExpiresAt = time.Now().Add(expires).UTC()
			}
			r, err := a.connect()
			if err != nil {
				return err
			}
			defer r.Close()
			key, err := r.NarrowKey(cmd.Context(), args[0], change)
			if err != nil {
				return r.explain(err)
			}
			return printOne(a, key, keyTable([]client.Key{key}, time.Now()).write)
		},
	}
	cmd.Flags().StringArrayVar(&change.Scopes, "scope", nil, "what it may still do; repeat it")
	cmd.Flags().StringArrayVar(&change.Projects, "project", nil, "which projects it may still see; repeat it")
	cmd.Flags().StringVar(&change.Policy, "policy", "", "the widest policy for its commands: strict, restricted or permissive")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long it goes on working, 24h for example")
	cmd.Flags().StringArrayVar(&change.AllowedAddresses, "allow-address", nil, "where it works from: an address, or a prefix such as 10.0.0.0/8; repeat it")
	cmd.Flags().BoolVar(&anywhere, "allow-anywhere", false, "let it work from anywhere again")
	return cmd
}
