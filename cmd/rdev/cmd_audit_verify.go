package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/postgres"
	"github.com/orchard9/rdev/store/sqlite"
)

func (a *app) auditVerify() *cobra.Command {
	var anchors []string
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check that no row of the audit log was changed or removed",
		Long: `Check the audit log itself, in the database of RDEV_DATABASE_URL or in the data
folder, also while a server runs; or an export, in FILE or, with -, on standard
input. Every row that was changed, and every hole, is named by its number.

A log from which rows were cut at the end, or that was made anew from some row on,
is sound in itself. An anchor shows it: the number and the hash of a row, noted
at a place where whoever can change the log cannot. The last line on standard
output is one.`,
		Example: `  rdev audit verify
  rdev audit verify audit.jsonl --anchor 1042:5f0c…`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			known := make([]rdev.AuditAnchor, len(anchors))
			for i, text := range anchors {
				var err error
				if known[i], err = rdev.ParseAuditAnchor(text); err != nil {
					return usagef("--anchor %s is not the number of a row, a colon and its hash", text)
				}
			}
			v := rdev.NewAuditVerifier(known...)
			var report rdev.AuditReport
			var err error
			if len(args) > 0 {
				report, err = a.verifyExport(v, args[0])
			} else {
				report, err = a.verifyStore(cmd.Context(), v)
			}
			if err != nil {
				return err
			}
			return a.printAuditReport(report)
		},
	}
	addFlags(cmd.Flags(), "serve")
	for _, s := range settings() { // of the server's flags, where its data is
		if s.scope == "serve" && s.flag != "" && s.key != "data_dir" {
			_ = cmd.Flags().MarkHidden(s.flag)
		}
	}
	cmd.Flags().StringArrayVar(&anchors, "anchor", nil, "NUMBER:HASH of a row that must be in it; repeat it")
	return cmd
}

// maxAuditLine is the longest row of an export.
const maxAuditLine = 1 << 20

func (a *app) verifyExport(v *rdev.AuditVerifier, path string) (rdev.AuditReport, error) {
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return rdev.AuditReport{}, fmt.Errorf("cannot read the export %s: %w", path, cause(err))
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewReaderSize(in, maxAuditLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 && (err == nil || err == io.EOF) {
			row, bad := rdev.ParseAuditRow(line)
			if bad != nil {
				return rdev.AuditReport{}, fmt.Errorf("%s, line %d: %w", path, n, bad)
			}
			v.Add(row)
		}
		switch {
		case err == io.EOF:
			return v.Finish(nil), nil
		case err != nil:
			return rdev.AuditReport{}, fmt.Errorf("cannot read the export %s: line %d: %w", path, n, err)
		}
	}
}

// verifyStore checks the log where it is. Rows that come while it is read are
// left to the next time.
func (a *app) verifyStore(ctx context.Context, v *rdev.AuditVerifier) (_ rdev.AuditReport, err error) {
	log, closeLog, err := openAudit(ctx, a.config)
	if err != nil {
		return rdev.AuditReport{}, err
	}
	defer func() { err = errors.Join(err, closeLog()) }()
	head, err := log.Head(ctx)
	if err != nil {
		return rdev.AuditReport{}, err
	}
	const page = 1000
	for after := uint64(0); ; {
		rows, err := log.List(ctx, rdev.AuditFilter{After: after, Before: head.Seq + 1, OldestFirst: true}, page)
		if err != nil {
			return rdev.AuditReport{}, err
		}
		for _, row := range rows {
			v.Add(row)
			after = row.Seq
		}
		if len(rows) == page {
			continue
		}
		behind, err := log.List(ctx, rdev.AuditFilter{After: head.Seq}, 1)
		if err != nil {
			return rdev.AuditReport{}, err
		}
		now, err := log.Head(ctx)
		if err == nil && len(behind) > 0 && behind[0].Seq > now.Seq {
			v.Add(behind[0]) // a row that the end of the log does not know
		}
		return v.Finish(&head), err
	}
}

func openAudit(ctx context.Context, c Config) (rdev.Audit, func() error, error) {
	if !c.DatabaseURL.IsZero() {
		log, closeLog, err := postgres.OpenAudit(ctx, c.DatabaseURL.Reveal())
		if err != nil {
			return nil, nil, fmt.Errorf("cannot read the audit log of RDEV_DATABASE_URL: %w", err)
		}
		return log, closeLog, nil
	}
	log, closeLog, err := sqlite.OpenAudit(ctx, filepath.Join(c.DataDir, "rdev.db"))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the audit log in %s: %w", c.DataDir, err)
	}
	return log, closeLog, nil
}

// printAuditReport says what was found; an error if that is anything. The anchor
// of a sound log is on standard output.
func (a *app) printAuditReport(r rdev.AuditReport) error {
	for _, anchor := range r.Unchecked {
		a.notice("row %d of an anchor is older than what is there, and was not checked", anchor.Seq)
	}
	if len(r.Findings) > 0 {
		for _, f := range r.Findings {
			fmt.Fprintln(a.stderr, f)
		}
		return fmt.Errorf("the audit log is not as it was written: %s", r.Findings[0])
	}
	if r.Rows == 0 {
		a.notice("the audit log is empty")
		return nil
	}
	a.notice("%d rows, %d to %d, are as they were written; to find what is cut off later, keep this anchor:", r.Rows, r.First, r.Last)
	_, err := fmt.Fprintln(a.stdout, rdev.AuditAnchor{Seq: r.Last, Hash: r.LastHash})
	return err
}
