package rdevtest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/rdev"
)

func auditChanged(t *testing.T, s AuditSubject) {
	appendEntries(t, s, 1, 9)
	wantSound(t, verify(t, s))
	s.Edit(t, 4, `"cmd-4"`, `"cmd-5"`)
	wantOne(t, verify(t, s), 4, 4)
	s.Edit(t, 9, `"lines":7`, `"lines":8`)
	report := verify(t, s)
	if len(report.Findings) != 2 || report.Findings[0].From != 4 || report.Findings[1].From != 9 {
		t.Fatalf("findings %v, want rows 4 and 9", report.Findings)
	}
}

func auditDeleted(t *testing.T, s AuditSubject) {
	appendEntries(t, s, 1, 9)
	s.Delete(t, 6)
	report := verify(t, s)
	wantOne(t, report, 6, 6)
	if text := report.Findings[0].String(); text != "row 6 is missing" {
		t.Fatalf("finding %q", text)
	}
	s.Delete(t, 1)
	report = verify(t, s)
	if len(report.Findings) != 2 || report.Findings[1].From != 1 || report.Findings[1].To != 1 {
		t.Fatalf("findings %v, want rows 6 and 1", report.Findings)
	}
}

func auditCut(t *testing.T, s AuditSubject) {
	appendEntries(t, s, 1, 5)
	all := rows(t, s)
	anchor := rdev.AuditAnchor{Seq: 5, Hash: all[4].Hash}
	wantSound(t, verify(t, s, anchor))
	s.Delete(t, 5)
	wantOne(t, verify(t, s), 5, 5)
	// Without the head, only the anchor shows it.
	v := rdev.NewAuditVerifier()
	w := rdev.NewAuditVerifier(anchor)
	for _, row := range rows(t, s) {
		v.Add(row)
		w.Add(row)
	}
	wantSound(t, v.Finish(nil))
	wantOne(t, w.Finish(nil), 5, 5)
	wrong := rdev.AuditAnchor{Seq: 3, Hash: all[1].Hash}
	report := verify(t, s, wrong)
	if len(report.Findings) != 2 || report.Findings[0].From != 3 {
		t.Fatalf("findings %v, want one about the anchor at 3", report.Findings)
	}
}

func auditPrune(t *testing.T, s AuditSubject) {
	appendEntries(t, s, 1, 10)
	all := rows(t, s)
	if n, err := s.Audit.Prune(ctx(t), all[0].Time.Add(-time.Hour), 100); n != 0 || err != nil {
		t.Fatalf("Prune removed %d that are not old, %v", n, err)
	}
	wantSound(t, verify(t, s))
	later := time.Now().Add(time.Hour)
	if n, err := s.Audit.Prune(ctx(t), later, 4); n != 4 || err != nil {
		t.Fatalf("Prune removed %d, %v, want 4", n, err)
	}
	left := rows(t, s)
	last := left[len(left)-1]
	if left[0].Seq != 5 || last.Seq != 11 || last.Event != rdev.AuditPruned || last.Through != 4 || *last.ThroughHash != all[3].Hash {
		t.Fatalf("rows %d to %d are left, the last one %+v", left[0].Seq, last.Seq, last)
	}
	wantSound(t, verify(t, s, rdev.AuditAnchor{Seq: 4, Hash: all[3].Hash}, rdev.AuditAnchor{Seq: 7, Hash: all[6].Hash}))
	if report := verify(t, s, rdev.AuditAnchor{Seq: 2, Hash: all[1].Hash}); len(report.Unchecked) != 1 {
		t.Fatalf("an anchor that is gone is not told: %+v", report)
	}
	head, err := s.Audit.Head(ctx(t))
	if err != nil || head.PrunedSeq != 4 || head.PrunedHash != all[3].Hash {
		t.Fatalf("Head: %+v, %v", head, err)
	}
	s.Delete(t, 5)
	wantOne(t, verify(t, s), 1, 5)
	if n, err := s.Audit.Prune(ctx(t), later, 100); n == 0 || err != nil {
		t.Fatalf("Prune removed %d, %v", n, err)
	}
	if left = rows(t, s); len(left) != 2 || left[0].Seq != 11 {
		t.Fatalf("rows %+v are left, want the newest and one about it", left)
	}
}

func auditExport(t *testing.T, s AuditSubject) {
	appendEntries(t, s, 1, 5)
	var lines [][]byte
	for _, row := range rows(t, s) {
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	offline := func() rdev.AuditReport {
		v := rdev.NewAuditVerifier()
		for _, line := range lines {
			row, err := rdev.ParseAuditRow(line)
			if err != nil {
				t.Fatal(err)
			}
			v.Add(row)
		}
		return v.Finish(nil)
	}
	wantSound(t, offline())
	sound := string(lines[2])
	for _, change := range [][2]string{
		{`"cmd-3"`, `"cmd-4"`}, {`"seq":3`, `"seq": 3`}, {`"prev":"`, `"prev":"0`}, {`"event"`, `"EVENT"`}, {`"event":`, `"event":"x","event":`},
	} {
		lines[2] = []byte(strings.Replace(sound, change[0], change[1], 1))
		if string(lines[2]) == sound {
			t.Fatalf("%q is not in %s", change[0], sound)
		}
		if change[0] == `"prev":"` {
			if _, err := rdev.ParseAuditRow(lines[2]); err == nil {
				t.Fatal("a hash that is too long was read")
			}
			continue
		}
		wantOne(t, offline(), 3, 3)
	}
	lines = slices.Delete(lines, 2, 3)
	wantOne(t, offline(), 3, 3)
}
