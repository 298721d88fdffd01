package rdev_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// audited opens a Service that keeps an audit log.
func audited(t *testing.T, p *parts, edit ...func(*rdev.Config)) *rdev.Service {
	t.Helper()
	return p.open(t, append(edit, func(c *rdev.Config) {
		if c.Audit == nil {
			c.Audit = p.commands.Audit()
		}
	})...)
}

// auditRows returns the log, and holds it to its hashes.
func auditRows(t *testing.T, log rdev.Audit) []rdev.AuditRow {
	t.Helper()
	rows, err := log.List(context.Background(), rdev.AuditFilter{OldestFirst: true}, 10000)
	if err != nil {
		t.Fatal(err)
	}
	v := rdev.NewAuditVerifier()
	for _, row := range rows {
		v.Add(row)
	}
	if report := v.Finish(nil); len(report.Findings) > 0 {
		t.Fatalf("findings %v", report.Findings)
	}
	return rows
}

// keyWith is a key with an address.
func keyWith(scopes ...auth.Scope) auth.Principal {
	return auth.Principal{
		KeyID: "k1", Name: "ci", Scopes: scopes, Projects: []auth.Pattern{"app"}, Addr: netip.MustParseAddr("192.0.2.7"),
	}
}

func TestAuditOfACommand(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := audited(t, p)
	req := shell("fail", "--token", "abc", "--password=abc", "https://me:pw@example.com/x", "API_KEY=abc", "plain")
	req.Env = map[string]string{"B": "value of b", "A": "value of a"}
	ctx := rdev.WithRequestID(t.Context(), "request-1")
	cmd, _, err := s.Run(ctx, keyWith(auth.ScopeCommandsShell), req)
	is.NoErr(err)
	follow(t, s, cmd.ID, 0)
	get(t, s, cmd.ID) // waits for the record
	rows := auditRows(t, p.commands.Audit())
	is.Equal(len(rows), 2)
	intent, outcome := rows[0], rows[1]
	is.Equal(intent.Event, rdev.AuditCommandIntent)
	is.Equal([]string{intent.KeyID, intent.KeyName, intent.Addr, intent.RequestID, intent.Project, intent.CommandID},
		[]string{"k1", "ci", "192.0.2.7", "request-1", "app", cmd.ID})
	is.Equal(intent.Level, policy.Restricted)
	is.Equal(intent.Argv, []string{"fail", "--token", "[masked]", "--password=[masked]", "https://[masked]@example.com/x", "API_KEY=[masked]", "plain"})
	is.Equal(intent.ArgvSHA256, rdev.AuditArgvDigest(req.Shell.Argv))
	is.Equal(intent.Env, []string{"A", "B"})
	is.Equal(outcome.Event, rdev.AuditCommandOutcome)
	is.Equal(outcome.State, rdev.StateFailed)
	is.Equal(outcome.Result.ExitCode, 3)
	is.Equal(outcome.Result.Lines, uint64(1))
	is.Equal(outcome.Result.StderrBytes, int64(2))
	text, err := json.Marshal(rows)
	is.NoErr(err)
	is.True(!strings.Contains(string(text), "value of")) // no values of variables
}

func TestAuditHasNoPrompt(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := audited(t, p)
	req := rdev.Request{Project: "app", Request: policy.Request{Claude: &policy.Claude{Prompt: "tell nobody"}}}
	cmd, _, err := s.Run(t.Context(), keyWith(auth.ScopeCommandsClaude), req)
	is.NoErr(err)
	follow(t, s, cmd.ID, 0)
	text, err := json.Marshal(auditRows(t, p.commands.Audit()))
	is.NoErr(err)
	is.True(!strings.Contains(string(text), "tell nobody"))
	is.True(strings.Contains(string(text), `"claude"`))
}

func TestAuditOfCancelAndKill(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := audited(t, p)
	cmd := run(t, s, shell("sleep"))
	_, err := s.Cancel(t.Context(), keyWith(auth.ScopeCommandsCancel), "app", cmd.ID)
	is.NoErr(err)
	follow(t, s, cmd.ID, 0)
	get(t, s, cmd.ID)
	_, err = s.Kill(t.Context(), keyWith(auth.ScopeCommandsCancel), "app", cmd.ID) // it has ended: nothing to note
	is.NoErr(err)
	var events []rdev.AuditEvent
	for _, row := range auditRows(t, p.commands.Audit()) {
		events = append(events, row.Event)
	}
	is.Equal(events, []rdev.AuditEvent{rdev.AuditCommandIntent, rdev.AuditCommandCancel, rdev.AuditCommandOutcome})
}

// failingAudit takes no rows, and failingCommands stores none that has entries,
// as a store does whose log is out of order.
type failingAudit struct{ rdev.Audit }

var errAudit = errors.New("the log is full")

func (failingAudit) Append(context.Context, ...rdev.AuditEntry) error { return errAudit }

func TestWhatCannotBeAuditedDoesNotHappen(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := audited(t, p, func(c *rdev.Config) { c.Audit = failingAudit{p.commands.Audit()} })
	_, _, err := s.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{Name: "ci", Scopes: []auth.Scope{auth.ScopeKeysRead}, Projects: []auth.Pattern{"*"}})
	is.True(errors.Is(err, errAudit))
	page, err := s.Keys(t.Context(), auth.Admin(), "", 0)
	is.NoErr(err)
	is.Equal(len(page.Keys), 0)
}

func TestAuditOfKeys(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := audited(t, p)
	spec := rdev.KeySpec{Name: "ci", Scopes: []auth.Scope{auth.ScopeKeysRead}, Projects: []auth.Pattern{"app"}}
	key, _, err := s.CreateKey(t.Context(), auth.Admin(), spec)
	is.NoErr(err)
	next, secret, err := s.RotateKey(t.Context(), auth.Admin(), key.ID, time.Hour)
	is.NoErr(err)
	_, _, err = s.RotateKey(t.Context(), auth.Admin(), key.ID, time.Hour)
	is.True(err != nil)
	_, err = s.RevokeKey(t.Context(), auth.Admin(), next.ID)
	is.NoErr(err)
	var told []string
	rows := auditRows(t, p.commands.Audit())
	for _, row := range rows {
		told = append(told, fmt.Sprint(row.Event, " ", row.Stage, " ", row.Key.ID == key.ID, " ", row.Key.Replaces == key.ID))
	}
	is.Equal(told, []string{
		"key.create intent true false", "key.create done true false",
		"key.rotate intent false true", "key.rotate done false true",
		"key.rotate intent false true", "key.rotate failed false true",
		"key.revoke intent false false", "key.revoke done false false",
	})
	text, err := json.Marshal(rows)
	is.NoErr(err)
	is.True(!strings.Contains(string(text), secret.Reveal()[22:60]))
}

// waitForRows waits until the log has that many rows.
func waitForRows(t *testing.T, log rdev.Audit, n int) []rdev.AuditRow {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		if rows := auditRows(t, log); len(rows) >= n {
			return rows
		}
		if time.Now().After(deadline) {
			t.Fatalf("there are %d rows, want %d", len(auditRows(t, log)), n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAuditOfRefusals(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := audited(t, p)
	who := keyWith(auth.ScopeCommandsShell)
	_, _, err := s.Run(t.Context(), who, rdev.Request{Project: "other", Request: shell("hello").Request})
	is.True(errors.Is(err, rdev.ErrProjectNotFound))
	is.True(rdev.RefusalNoted(err))
	_, _, err = s.Run(t.Context(), who, rdev.Request{Project: "app", Request: policy.Request{Shell: &policy.Shell{Command: "a; b"}}})
	is.True(errors.Is(err, policy.ErrRefused))
	_, err = s.Get(t.Context(), who, "app", "cmd-1")
	is.True(errors.Is(err, rdev.ErrForbidden))
	_, _, err = s.CreateKey(t.Context(), who, rdev.KeySpec{})
	is.True(errors.Is(err, rdev.ErrForbidden))
	_, _, err = s.Run(t.Context(), auth.Admin(), rdev.Request{Project: "none", Request: shell("hello").Request})
	is.True(errors.Is(err, rdev.ErrProjectNotFound)) // a mistake, and no refusal
	is.True(!rdev.RefusalNoted(err))
	var told []string
	for _, row := range waitForRows(t, p.commands.Audit(), 4) {
		is.Equal(row.Event, rdev.AuditRefused)
		told = append(told, fmt.Sprint(row.Action, " ", row.Code, " ", row.Addr, " ", row.Project))
	}
	is.Equal(told, []string{
		"commands:shell PROJECT_NOT_FOUND 192.0.2.7 other",
		"commands:shell COMMAND_REJECTED 192.0.2.7 app",
		"commands:read FORBIDDEN 192.0.2.7 app",
		"keys:write FORBIDDEN 192.0.2.7 ",
	})
}

// TestRefusalsAreBounded makes more than are written, from many addresses.
func TestRefusalsAreBounded(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := audited(t, p)
	const each, addresses = 50, 400
	for i := range addresses {
		stranger := auth.Principal{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		for range each {
			s.NoteRefusal(t.Context(), stranger, rdev.Refusal{Code: rdev.CodeUnauthenticated, Reason: "unknown"})
		}
	}
	shut(t, s) // writes the counts
	rows := auditRows(t, p.commands.Audit())
	is.True(len(rows) <= 300+257)
	total := uint64(0)
	for _, row := range rows {
		if row.Event == rdev.AuditRefused {
			total++
		}
		total += row.Count
	}
	is.Equal(total, uint64(each*addresses)) // none is lost
	is.True(slices.ContainsFunc(rows, func(r rdev.AuditRow) bool { return r.Event == rdev.AuditRefusedMore && r.Addr == "" }))
}

func TestAuditLogShowsWhatACallerSees(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := audited(t, p)
	for n := range 5 {
		for _, project := range []string{"app", "other", ""} {
			is.NoErr(p.commands.Audit().Append(t.Context(), rdev.AuditEntry{Event: rdev.AuditRefused, Project: project, KeyID: fmt.Sprint("k", n)}))
		}
	}
	page, err := s.AuditLog(t.Context(), auth.Admin(), rdev.AuditOptions{})
	is.NoErr(err)
	is.Equal(len(page.Rows), 15)
	is.Equal(page.Head.Seq, uint64(15))
	who := keyWith(auth.ScopeAuditRead)
	var seen []uint64
	for cursor, pages := uint64(0), 0; ; pages++ {
		page, err := s.AuditLog(t.Context(), who, rdev.AuditOptions{Limit: 2, Cursor: cursor, OldestFirst: true})
		is.NoErr(err)
		is.Equal(page.Head, nil)
		for _, row := range page.Rows {
			is.Equal(row.Project, "app")
			seen = append(seen, row.Seq)
		}
		if cursor = page.Next; cursor == 0 {
			break
		}
		is.True(pages < 10)
	}
	is.Equal(seen, []uint64{1, 4, 7, 10, 13})
	_, err = s.AuditLog(t.Context(), who, rdev.AuditOptions{Project: "other"})
	is.True(errors.Is(err, rdev.ErrProjectNotFound))
	_, err = s.AuditLog(t.Context(), keyWith(auth.ScopeKeysRead), rdev.AuditOptions{})
	is.True(errors.Is(err, rdev.ErrForbidden))
	page, err = s.AuditLog(t.Context(), auth.Admin(), rdev.AuditOptions{KeyID: "k3", Project: "other"})
	is.NoErr(err)
	is.Equal(len(page.Rows), 1)
	_, err = p.open(t).AuditLog(t.Context(), auth.Admin(), rdev.AuditOptions{})
	is.True(errors.Is(err, rdev.ErrNoAudit))
}

func TestOldRowsArePruned(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	for range 5 {
		is.NoErr(p.commands.Audit().Append(t.Context(), rdev.AuditEntry{Event: rdev.AuditRefused}))
	}
	audited(t, p, func(c *rdev.Config) { c.AuditAge = time.Nanosecond })
	deadline := time.Now().Add(patience)
	for {
		if rows := auditRows(t, p.commands.Audit()); len(rows) == 2 && rows[1].Event == rdev.AuditPruned {
			return
		}
		is.True(time.Now().Before(deadline))
		time.Sleep(10 * time.Millisecond)
	}
}
