package rdev

import (
	"fmt"
	"strconv"
	"strings"
)

// maxFindings bounds what a verification keeps of what it finds.
const maxFindings = 100

// An AuditAnchor is a row's number and hash, noted where whoever can write to
// the store cannot: a log that does not contain it has been rewritten or cut.
// Its text is the two with a colon between.
type AuditAnchor struct {
	Seq  uint64
	Hash AuditHash
}

// String returns the text of the anchor.
func (a AuditAnchor) String() string { return strconv.FormatUint(a.Seq, 10) + ":" + a.Hash.String() }

// ParseAuditAnchor reads the text of an anchor.
func ParseAuditAnchor(text string) (a AuditAnchor, err error) {
	seq, hash, _ := strings.Cut(text, ":")
	if a.Seq, err = strconv.ParseUint(seq, 10, 64); err == nil {
		err = a.Hash.UnmarshalText([]byte(hash))
	}
	if err != nil || a.Seq == 0 {
		return AuditAnchor{}, fmt.Errorf("rdev: %q is not an anchor: want the number of a row, a colon and its hash", text)
	}
	return a, nil
}

// An AuditFinding is something that is wrong with the rows From to To.
type AuditFinding struct {
	From, To uint64
	Problem  string
}

// String says it for people.
func (f AuditFinding) String() string {
	if f.From == f.To {
		return fmt.Sprintf("row %d %s", f.From, f.Problem)
	}
	return fmt.Sprintf("rows %d to %d %s", f.From, f.To, f.Problem)
}

// An AuditReport is the outcome of a verification.
type AuditReport struct {
	Rows        uint64 // that were looked at
	First, Last uint64 // their numbers
	LastHash    AuditHash
	// Findings are what is wrong, by number as far as possible; at most 100.
	// Empty means that every row is as it was written, none is missing between
	// First and Last, and all anchors are in it.
	Findings []AuditFinding
	// Unchecked are anchors older than the first row.
	Unchecked []AuditAnchor
}

// An AuditVerifier checks rows in the order of their numbers. It finds a row
// that was changed, removed, inserted or moved, unless all rows behind it were
// made anew as well. That, and a log that was cut at its end, only an anchor
// shows.
type AuditVerifier struct {
	report  AuditReport
	anchors []AuditAnchor
	start   AuditAnchor   // what the first row follows
	checked bool          // start was pruned, or is an anchor
	prev    *AuditFinding // about the last row, if there is one
}

// NewAuditVerifier returns a verifier that wants the anchors to be in the log.
func NewAuditVerifier(anchors ...AuditAnchor) *AuditVerifier {
	return &AuditVerifier{anchors: anchors}
}

// Add checks the next row.
func (v *AuditVerifier) Add(row AuditRow) {
	r := &v.report
	var about *AuditFinding
	found := func(from, to uint64, problem string) {
		f := AuditFinding{from, to, problem}
		if from == row.Seq {
			about = &f
		}
		v.found(f)
	}
	switch {
	case r.Rows == 0:
		r.First = row.Seq
		v.start = AuditAnchor{row.Seq - 1, row.Prev}
		v.checked = v.start == AuditAnchor{}
		if row.Seq <= 1 && row.Prev != (AuditHash{}) && row.damage == "" {
			found(row.Seq, row.Seq, "is not the first one that was written")
		}
	case row.Seq <= r.Last:
		found(row.Seq, row.Seq, "is out of order, or there twice")
	case row.Seq > r.Last+1:
		found(r.Last+1, row.Seq-1, missingRows(row.Seq-1-r.Last))
	case row.Prev != r.LastHash && row.damage == "" && v.prev == nil:
		// The row has its hash, so it is the one before that is another one.
		found(r.Last, r.Last, fmt.Sprintf("was changed: row %d follows one with another hash", row.Seq))
	}
	if row.damage != "" {
		found(row.Seq, row.Seq, "was changed: "+row.damage)
	}
	for _, a := range v.anchors {
		if a.Seq == row.Seq && a.Hash != row.Hash {
			found(row.Seq, row.Seq, "is not the one of the anchor: the log was rewritten up to it")
		}
		v.checked = v.checked || a == v.start
	}
	if row.Event == AuditPruned && row.ThroughHash != nil && row.damage == "" {
		v.checked = v.checked || v.start == AuditAnchor{row.Through, *row.ThroughHash}
	}
	r.Rows++
	r.Last, r.LastHash, v.prev = row.Seq, row.Hash, about
}

// Finish returns the report. head is where the store says that the log ends, nil
// if that is not known.
func (v *AuditVerifier) Finish(head *AuditHead) AuditReport {
	r := &v.report
	if r.Rows > 0 && !v.checked && v.start.Seq > 0 && v.start.Seq != ^uint64(0) {
		v.found(AuditFinding{1, v.start.Seq, "are missing, and no row says that they were removed because of their age"})
	}
	if head != nil {
		switch {
		case head.Seq > r.Last:
			v.found(AuditFinding{r.Last + 1, head.Seq, missingRows(head.Seq - r.Last)})
		case head.Seq < r.Last:
			v.found(AuditFinding{head.Seq + 1, r.Last, "are behind the end of the log"})
		case head.Hash != r.LastHash && v.prev == nil:
			v.found(AuditFinding{r.Last, r.Last, "was changed: the log ends with another hash"})
		}
	}
	for _, a := range v.anchors {
		switch {
		case r.Rows > 0 && a.Seq < r.First:
			if a != v.start {
				r.Unchecked = append(r.Unchecked, a)
			}
		case a.Seq > r.Last && (head == nil || a.Seq > head.Seq):
			v.found(AuditFinding{r.Last + 1, a.Seq, missingRows(a.Seq - r.Last)})
		}
	}
	return *r
}

func (v *AuditVerifier) found(f AuditFinding) {
	if len(v.report.Findings) < maxFindings {
		v.report.Findings = append(v.report.Findings, f)
	}
}

func missingRows(n uint64) string {
	if n == 1 {
		return "is missing"
	}
	return "are missing"
}
