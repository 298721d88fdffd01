package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxKept bounds what is remembered of one test's output.
const maxKept = 1 << 20

// An event is a line of "go test -json" (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// A testID is a test in a package; an empty test is the package itself.
type testID struct{ pkg, test string }

func (id testID) String() string { return id.pkg + " " + id.test }

// A skip is a test that did not run, and why.
type skip struct {
	id     testID
	reason string
}

// A summary is what was seen so far.
type summary struct {
	out     io.Writer
	verbose bool

	kept    map[testID]*strings.Builder // the output of tests that have not ended
	passed  int
	failed  []testID
	skipped []skip
	broken  bool // a package failed, perhaps without a failing test
}

func newSummary(out io.Writer, verbose bool) *summary {
	return &summary{out: out, verbose: verbose, kept: make(map[testID]*strings.Builder)}
}

func (s *summary) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		fmt.Fprint(s.out, line) // no event: go itself has something to say
		return
	}
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "output":
		s.output(id, e.Output)
	case "pass":
		if e.Test != "" {
			s.passed++
		}
		delete(s.kept, id)
	case "skip":
		if e.Test != "" { // a package that is skipped has no tests
			s.skipped = append(s.skipped, skip{id, s.take(id)})
		}
	case "fail":
		if e.Test != "" {
			s.failed = append(s.failed, id)
			fmt.Fprint(s.out, s.take(id))
			return
		}
		s.broken = true
		// A panic or a timeout leaves tests without an end.
		for id := range s.kept {
			if id.pkg == e.Package {
				fmt.Fprintf(s.out, "--- unfinished: %v\n%s", id, s.take(id))
			}
		}
	}
}

func (s *summary) output(id testID, text string) {
	switch {
	case s.verbose:
		fmt.Fprint(s.out, text)
	case strings.HasPrefix(text, "=== "):
	case id.test != "":
		b := s.kept[id]
		if b == nil {
			b = new(strings.Builder)
			s.kept[id] = b
		}
		if b.Len() < maxKept {
			b.WriteString(text)
		}
	case text == "PASS\n", text == "FAIL\n", strings.Contains(text, "[no test files]"):
	default:
		fmt.Fprint(s.out, text)
	}
}

// take returns the kept output of a test and forgets it.
func (s *summary) take(id testID) string {
	b := s.kept[id]
	delete(s.kept, id)
	if b == nil {
		return ""
	}
	return b.String()
}

// print tells the whole, at the end, where people look.
func (s *summary) print() {
	for _, skip := range s.skipped {
		fmt.Fprintf(s.out, "skipped: %v\n%s", skip.id, skip.reason)
	}
	for _, id := range s.failed {
		fmt.Fprintf(s.out, "failed: %v\n", id)
	}
	fmt.Fprintf(s.out, "%d tests passed, %d failed, %d skipped\n", s.passed, len(s.failed), len(s.skipped))
}
