// Package doctor looks for what keeps rdev from working, where it is, and says
// how to mend it. Each part of rdev has a function that examines it and tells
// what it finds: a server, a cluster, a database, the place where commands run.
//
// Nothing is repaired, and nothing but what the checks need is started: short
// commands in the projects that are examined, and the shim in their pods.
package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Patience is how long to wait for what should be there, such as an answer.
const Patience = answerTimeout

// State is how bad a finding is.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn" // rdev works, with less than it could do
	Fail State = "fail" // something does not work
)

// A Finding is what one check found.
type Finding struct {
	// Check names what was looked at: "server", "rights". Part of the output's
	// form: names are not changed.
	Check  string `json:"check"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	// Mend says what to do about it. Empty where all is well.
	Mend string `json:"mend,omitempty"`
}

// A Report collects findings. It is for one goroutine.
type Report struct {
	// Tell is called with each finding as it is made. Defaults to nothing.
	Tell func(Finding)

	findings []Finding
}

// Findings returns all findings, in the order in which they were made.
func (r *Report) Findings() []Finding { return r.findings }

// Failed reports whether something does not work.
func (r *Report) Failed() bool {
	for _, f := range r.findings {
		if f.State == Fail {
			return true
		}
	}
	return false
}

// Add adds a finding.
func (r *Report) Add(f Finding) {
	r.findings = append(r.findings, f)
	if r.Tell != nil {
		r.Tell(f)
	}
}

// Ok, Warn and Fail add a finding with the detail that the format makes.
func (r *Report) Ok(check, format string, args ...any) {
	r.Add(Finding{Check: check, State: OK, Detail: fmt.Sprintf(format, args...)})
}

// Warn: see Ok.
func (r *Report) Warn(check, mend, format string, args ...any) {
	r.Add(Finding{Check: check, State: Warn, Detail: fmt.Sprintf(format, args...), Mend: mend})
}

// Fail: see Ok.
func (r *Report) Fail(check, mend, format string, args ...any) {
	r.Add(Finding{Check: check, State: Fail, Detail: fmt.Sprintf(format, args...), Mend: mend})
}

// storeText leaves out which package an error of a store is from.
func storeText(err error) string {
	text := err.Error()
	for _, prefix := range []string{"store/postgres: ", "store/sqlite: ", "examine: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// inner is the reason in an error about a file, whose name is known.
func inner(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
