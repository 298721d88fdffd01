package rdevtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/rdev"
)

// AuditSubject is what Audit tests: a log with the records that append to it,
// and ways to damage it behind its back.
type AuditSubject struct {
	Audit    rdev.Audit
	Commands rdev.Commands
	// Edit replaces a text in the body of a row by another, and leaves the rest
	// of the row as it is.
	Edit func(t *testing.T, seq uint64, old, new string)
	// Delete removes a row.
	Delete func(t *testing.T, seq uint64)
}

// Audit tests the rdev.Audit that open returns, fresh and empty each time. open
// registers the cleanup of what it opens with t.Cleanup.
func Audit(t *testing.T, open func(t *testing.T) AuditSubject) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s AuditSubject)
	}{
		{"AnEmptyLogHasNoHead", auditEmpty},
		{"AppendThenListReturnsTheSame", auditAppend},
		{"AnyTextIsKept", auditAnyText},
		{"ListSelectsAndPages", auditLists},
		{"AnEndedContextIsAnError", auditEndedContext},
		{"ConcurrentAppendsBuildOneChain", auditConcurrent},
		{"ACommandsEntriesAreAppendedWithItsRecord", auditWithCommand},
		{"ARepeatedRequestAppendsNothing", auditRepeated},
		{"AFailedUpdateAppendsNothing", auditFailedUpdate},
		{"OfTwoEndsOneIsAppended", auditTwoEnds},
		{"VerifyNamesAChangedRow", auditChanged},
		{"VerifyNamesADeletedRow", auditDeleted},
		{"VerifyFindsAMissingEnd", auditCut},
		{"PruneKeepsTheChainVerifiable", auditPrune},
		{"AnExportIsVerifiableAsItIs", auditExport},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// entry returns an entry that uses every kind of field.
func entry(n int) rdev.AuditEntry {
	return rdev.AuditEntry{
		Event: rdev.AuditCommandIntent, KeyID: fmt.Sprintf("key%d", n%2), KeyName: "<ci> & \"co\"", Addr: "192.0.2.7", RequestID: "req-00000001",
		Project: fmt.Sprintf("p%d", n%3), CommandID: fmt.Sprintf("cmd-%d", n), Argv: []string{"echo", fmt.Sprint(n)},
		ArgvSHA256: rdev.AuditArgvDigest([]string{"echo"}), Env: []string{"A", "B"},
		Result: &rdev.AuditResult{ExitCode: 3, Lines: 7, StdoutBytes: 8},
		Key:    &rdev.AuditKey{ID: "k", ExpiresAt: moment(), ReplacedUntil: moment()},
	}
}

func appendEntries(t *testing.T, s AuditSubject, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := s.Audit.Append(ctx(t), entry(n)); err != nil {
			t.Fatalf("Append: %v", err)
		}
	}
}

// rows returns the whole log, oldest first.
func rows(t *testing.T, s AuditSubject) []rdev.AuditRow {
	t.Helper()
	all, err := s.Audit.List(ctx(t), rdev.AuditFilter{OldestFirst: true}, 1000)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return all
}

func verify(t *testing.T, s AuditSubject, anchors ...rdev.AuditAnchor) rdev.AuditReport {
	t.Helper()
	v := rdev.NewAuditVerifier(anchors...)
	for _, row := range rows(t, s) {
		v.Add(row)
	}
	head, err := s.Audit.Head(ctx(t))
	if err != nil {
		t.Fatalf("Head: %v", err)
	}
	return v.Finish(&head)
}

func wantSound(t *testing.T, report rdev.AuditReport) {
	t.Helper()
	if len(report.Findings) > 0 {
		t.Fatalf("a sound log has findings: %v", report.Findings)
	}
}

// wantOne wants exactly one finding, about these rows.
func wantOne(t *testing.T, report rdev.AuditReport, from, to uint64) {
	t.Helper()
	if len(report.Findings) != 1 || report.Findings[0].From != from || report.Findings[0].To != to {
		t.Fatalf("findings %v, want one about rows %d to %d", report.Findings, from, to)
	}
}

func auditEmpty(t *testing.T, s AuditSubject) {
	head, err := s.Audit.Head(ctx(t))
	if err != nil || head != (rdev.AuditHead{}) {
		t.Fatalf("Head: %+v, %v", head, err)
	}
	wantSound(t, verify(t, s))
}

func auditAppend(t *testing.T, s AuditSubject) {
	if err := s.Audit.Append(ctx(t), entry(1), entry(2)); err != nil {
		t.Fatal(err)
	}
	appendEntries(t, s, 3, 3)
	all := rows(t, s)
	if len(all) != 3 {
		t.Fatalf("%d rows, want 3", len(all))
	}
	for i, row := range all {
		got, _ := json.Marshal(row.AuditEntry)
		wanted, _ := json.Marshal(entry(i + 1))
		if string(got) != string(wanted) {
			t.Fatalf("row %d is\n%s, want\n%s", i, got, wanted)
		}
		if row.Seq != uint64(i+1) || time.Since(row.Time).Abs() > time.Hour || row.Time.Location() != time.UTC {
			t.Fatalf("row %d has the number %d and the time %v", i, row.Seq, row.Time)
		}
		if i > 0 && (row.Prev != all[i-1].Hash || row.Time.Before(all[i-1].Time)) {
			t.Fatalf("row %d does not follow the one before", i)
		}
	}
	head, err := s.Audit.Head(ctx(t))
	if err != nil || head.Seq != 3 || head.Hash != all[2].Hash {
		t.Fatalf("Head: %+v, %v", head, err)
	}
	wantSound(t, verify(t, s, rdev.AuditAnchor{Seq: 2, Hash: all[1].Hash}))
}

func auditAnyText(t *testing.T, s AuditSubject) {
	e := entry(1)
	e.Argv = []string{"\xff\xfe", "\x00", "\u2028<&>", strings.Repeat("é", 1000), "\r\n\x1b[0m"}
	e.KeyName, e.KeyID, e.Project = "\xc3\x28", "a\x00b", "\xff"
	if err := s.Audit.Append(ctx(t), e); err != nil {
		t.Fatal(err)
	}
	wantSound(t, verify(t, s))
	if got := rows(t, s)[0].Argv; !slices.Equal(got[1:], e.Argv[1:]) || got[0] != "\uFFFD" {
		t.Fatalf("argv %q, want %q", got, e.Argv)
	}
}

func auditLists(t *testing.T, s AuditSubject) {
	appendEntries(t, s, 1, 12)
	for _, test := range []struct {
		filter rdev.AuditFilter
		limit  int
		want   []uint64
	}{
		{rdev.AuditFilter{}, 3, []uint64{12, 11, 10}},
		{rdev.AuditFilter{Before: 10}, 2, []uint64{9, 8}},
		{rdev.AuditFilter{OldestFirst: true, After: 10}, 9, []uint64{11, 12}},
		{rdev.AuditFilter{Project: "p1"}, 9, []uint64{10, 7, 4, 1}},
		{rdev.AuditFilter{KeyID: "key0", Before: 6}, 9, []uint64{4, 2}},
		{rdev.AuditFilter{Project: "p1", KeyID: "key0"}, 9, []uint64{10, 4}},
		{rdev.AuditFilter{Since: time.Now().Add(time.Hour)}, 9, nil},
		{rdev.AuditFilter{Since: time.Now().Add(-time.Hour), OldestFirst: true}, 1, []uint64{1}},
		{rdev.AuditFilter{}, 0, nil},
	} {
		found, err := s.Audit.List(ctx(t), test.filter, test.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, row := range found {
			got = append(got, row.Seq)
		}
		if !slices.Equal(got, test.want) {
			t.Fatalf("%+v: rows %v, want %v", test.filter, got, test.want)
		}
	}
}

func auditEndedContext(t *testing.T, s AuditSubject) {
	ended, cancel := context.WithCancel(ctx(t))
	cancel()
	if err := s.Audit.Append(ended, entry(1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Append: %v, want context.Canceled", err)
	}
	if n := len(rows(t, s)); n != 0 {
		t.Fatalf("%d rows were appended", n)
	}
}

func auditConcurrent(t *testing.T, s AuditSubject) {
	const writers, each = 8, 10
	failures := make(chan error, writers*each)
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for n := range each {
				if err := s.Audit.Append(context.Background(), entry(w*each+n)); err != nil {
					failures <- err
				}
			}
		})
	}
	wait.Wait()
	close(failures)
	for err := range failures {
		t.Fatal(err)
	}
	report := verify(t, s)
	wantSound(t, report)
	if report.Rows != writers*each || report.First != 1 {
		t.Fatalf("%d rows from %d on, want %d from 1 on", report.Rows, report.First, writers*each)
	}
}

func audited(n int, events ...rdev.AuditEvent) rdev.Command {
	c := command(n)
	for _, e := range events {
		c.Audit = append(c.Audit, rdev.AuditEntry{Event: e, CommandID: c.ID})
	}
	return c
}

func wantEvents(t *testing.T, s AuditSubject, wanted ...rdev.AuditEvent) {
	t.Helper()
	var got []rdev.AuditEvent
	for _, row := range rows(t, s) {
		got = append(got, row.Event)
	}
	if !slices.Equal(got, wanted) {
		t.Fatalf("events %v, want %v", got, wanted)
	}
	wantSound(t, verify(t, s))
}

func auditWithCommand(t *testing.T, s AuditSubject) {
	stored, created, err := s.Commands.Insert(ctx(t), audited(1, rdev.AuditCommandIntent))
	if err != nil || !created {
		t.Fatalf("Insert: created %t, %v", created, err)
	}
	want(t, stored, command(1))
	want(t, get(t, s.Commands, command(1).ID), command(1))
	wantEvents(t, s, rdev.AuditCommandIntent)
	updated := update(t, s.Commands, command(1).ID, func(c *rdev.Command) {
		if c.Audit != nil {
			t.Error("entries were read back")
		}
		c.State = rdev.StateRunning
		c.State = rdev.StateFailed
		c.Result = &exec.Result{ExitCode: 1, Reason: exec.Exited}
		c.State = rdev.StateRunning
		c.Audit = []rdev.AuditEntry{{Event: rdev.AuditCommandCancel}, {Event: rdev.AuditCommandKill}}
	})
	if updated.Audit != nil || get(t, s.Commands, command(1).ID).Audit != nil {
		t.Fatal("entries were read back")
	}
	wantEvents(t, s, rdev.AuditCommandIntent, rdev.AuditCommandCancel, rdev.AuditCommandKill)
	if _, _, err := s.Commands.Insert(ctx(t), audited(1, rdev.AuditCommandIntent)); err == nil {
		t.Fatal("a taken id was stored again")
	}
	wantEvents(t, s, rdev.AuditCommandIntent, rdev.AuditCommandCancel, rdev.AuditCommandKill)
}

func auditRepeated(t *testing.T, s AuditSubject) {
	for n := 1; n <= 2; n++ {
		c := audited(n, rdev.AuditCommandIntent)
		c.IdempotencyKey = "again"
		if _, created, err := s.Commands.Insert(ctx(t), c); err != nil || created != (n == 1) {
			t.Fatalf("Insert %d: created %t, %v", n, created, err)
		}
	}
	wantEvents(t, s, rdev.AuditCommandIntent)
}

func auditFailedUpdate(t *testing.T, s AuditSubject) {
	insert(t, s.Commands, command(1))
	_, err := s.Commands.Update(ctx(t), command(1).ID, func(c *rdev.Command) error {
		c.State = rdev.StateSucceeded // queued commands cannot
		c.Audit = audited(1, rdev.AuditCommandOutcome).Audit
		return nil
	})
	if !errors.Is(err, rdev.ErrStaleState) {
		t.Fatalf("Update: %v, want ErrStaleState", err)
	}
	wantEvents(t, s)
}

func auditTwoEnds(t *testing.T, s AuditSubject) {
	insert(t, s.Commands, command(1))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			_, _ = s.Commands.Update(context.Background(), command(1).ID, func(c *rdev.Command) error {
				c.State = rdev.StateLost
				c.Audit = audited(1, rdev.AuditCommandOutcome).Audit
				return nil
			})
		})
	}
	wait.Wait()
	wantEvents(t, s, rdev.AuditCommandOutcome)
}
