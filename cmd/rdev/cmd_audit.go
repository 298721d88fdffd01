package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/client"
)

func (a *app) auditCommand() *cobra.Command {
	audit := &cobra.Command{
		Use:   "audit",
		Short: "Read, export and verify the audit log",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	audit.AddCommand(a.auditList(), a.auditExport())
	for _, cmd := range audit.Commands() {
		addFlags(cmd.Flags(), "client")
	}
	audit.AddCommand(a.auditVerify())
	return audit
}

// auditFlags define what selects rows.
func auditFlags(cmd *cobra.Command, opts *client.AuditOptions, since *time.Duration) {
	cmd.Flags().StringVar(&opts.Project, "project", "", "rows of this project")
	cmd.Flags().StringVar(&opts.Key, "key", "", "rows of what the key with this id did")
	cmd.Flags().DurationVar(since, "since", 0, "rows that are no older, 24h for example; 0 is all")
}

func (a *app) auditList() *cobra.Command {
	var opts client.AuditOptions
	var since time.Duration
	var most int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List rows of the audit log, newest first",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if most <= 0 {
				return usagef("--limit must be more than nothing")
			}
			var rows []client.AuditRow
			err := a.eachAuditRow(cmd.Context(), opts, since, func(row client.AuditRow) error {
				if rows = append(rows, row); len(rows) == most {
					return errEnough
				}
				return nil
			})
			if err != nil {
				return err
			}
			return printList(a, "rows", rows, auditTable(rows, time.Now()))
		},
	}
	auditFlags(cmd, &opts, &since)
	cmd.Flags().IntVarP(&most, "limit", "n", 50, "rows at most")
	return cmd
}

func (a *app) auditExport() *cobra.Command {
	opts := client.AuditOptions{OldestFirst: true}
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the audit log as JSON lines, oldest first",
		Long: `Write the audit log to standard output, one row a line, oldest first, in the form
that "rdev audit verify FILE" takes. With a filter, or a key that does not see
every project, rows are missing, and a verification says so.`,
		Example: `  rdev audit export > audit.jsonl && rdev audit verify audit.jsonl`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.eachAuditRow(cmd.Context(), opts, since, func(row client.AuditRow) error {
				line, err := exportedRow(row)
				if err != nil {
					return err
				}
				_, err = a.stdout.Write(append(line, '\n'))
				return err
			})
		},
	}
	auditFlags(cmd, &opts, &since)
	return cmd
}

// exportedRow is the one form of a row in an export, however the server spaced
// and escaped it.
func exportedRow(row client.AuditRow) ([]byte, error) {
	var parsed rdev.AuditRow
	if err := json.Unmarshal(row.JSON, &parsed); err != nil {
		return nil, fmt.Errorf("row %d: %w", row.Seq, err)
	}
	return json.Marshal(parsed)
}

// errEnough ends eachAuditRow.
var errEnough = fmt.Errorf("enough")

// eachAuditRow calls each with the rows of all pages.
func (a *app) eachAuditRow(ctx context.Context, opts client.AuditOptions, since time.Duration, each func(client.AuditRow) error) error {
	r, err := a.connect()
	if err != nil {
		return err
	}
	defer r.Close()
	switch {
	case since < 0:
		return usagef("--since is negative")
	case since > 0:
		opts.Since = time.Now().Add(-since)
	}
	opts.Limit = 200
	for {
		page, err := r.Audit(ctx, opts)
		if err != nil {
			return r.explain(err)
		}
		for _, row := range page.Rows {
			if err := each(row); err == errEnough {
				return nil
			} else if err != nil {
				return err
			}
		}
		if opts.Cursor = page.NextCursor; opts.Cursor == "" {
			return nil
		}
	}
}

func auditTable(rows []client.AuditRow, now time.Time) *table {
	t := &table{head: []string{"ROW", "WHEN", "EVENT", "KEY", "FROM", "PROJECT", "WHAT"}}
	for _, r := range rows {
		key := r.KeyName
		if key == "" {
			key = r.KeyID
		}
		t.add(fmt.Sprint(r.Seq), ago(now, r.Time), r.Event, key, r.Addr, r.Project, auditWhat(r))
	}
	return t
}

// auditWhat is the rest of a row in a few words.
func auditWhat(r client.AuditRow) string {
	var e rdev.AuditEntry
	if err := json.Unmarshal(r.JSON, &e); err != nil {
		return "(unreadable)"
	}
	var words []string
	add := func(text string) {
		if text != "" {
			words = append(words, text)
		}
	}
	add(e.CommandID)
	add(strings.Join(e.Argv, " "))
	add(string(e.State))
	if e.Result != nil {
		add(fmt.Sprintf("exit code %d, %d lines", e.Result.ExitCode, e.Result.Lines))
	}
	if e.Key != nil {
		add(e.Key.ID)
		add(e.Key.Name)
		add(e.Stage)
	}
	add(e.Action)
	add(string(e.Code))
	add(e.Reason)
	if e.Count > 0 {
		add(fmt.Sprintf("%d times", e.Count))
	}
	if e.Through > 0 {
		add(fmt.Sprintf("through row %d", e.Through))
	}
	return strings.Join(words, "  ")
}
