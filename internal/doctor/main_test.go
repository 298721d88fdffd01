package doctor_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/internal/doctor"
	"github.com/orchard9/rdev/internal/kubetest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }

// patience is spent only where something is wrong.
const patience = 2 * time.Minute

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// findings are what an examination found.
type findings []doctor.Finding

func (all findings) String() string {
	var b strings.Builder
	for _, f := range all {
		b.WriteString("\n" + string(f.State) + " " + f.Check + ": " + f.Detail)
		if f.Mend != "" {
			b.WriteString(" -> " + f.Mend)
		}
	}
	return b.String()
}

// want fails the test unless there is such a finding, with the text in its
// detail or in what to do.
func (all findings) want(t *testing.T, state doctor.State, check, text string) {
	t.Helper()
	for _, f := range all {
		if f.State == state && f.Check == check && strings.Contains(f.Detail+"\n"+f.Mend, text) {
			return
		}
	}
	t.Errorf("want %s %s with %q in%v", state, check, text, all)
}

// only fails the test if there are findings of the state on other checks.
func (all findings) only(t *testing.T, state doctor.State, checks ...string) {
	t.Helper()
	for _, f := range all {
		if f.State == state && !strings.Contains(" "+strings.Join(checks, " ")+" ", " "+f.Check+" ") {
			t.Errorf("%s %s: %s; want none but of %v", state, f.Check, f.Detail, checks)
		}
	}
}
