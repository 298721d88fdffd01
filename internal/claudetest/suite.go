package claudetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// A Subject is where claude is run: a project whose commands have the real
// claude in their PATH and an API to talk to.
type Subject struct {
	Service *rdev.Service
	Project string
	// Patience is how long what must happen is waited for.
	Patience time.Duration
}

// Exercise runs claude in the project and holds what the Service makes of it
// against what claude did.
func Exercise(t *testing.T, s Subject) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"ResultIsTyped", resultIsTyped},
		{"AllowedToolsRun", allowedToolsRun},
		{"DeniedToolsDoNotRun", deniedToolsDoNotRun},
		{"WideningNeedsTheScope", wideningNeedsTheScope},
		{"SessionsGoOn", sessionsGoOn},
		{"ALimitIsAFailure", aLimitIsAFailure},
		{"AnErrorIsAFailure", anErrorIsAFailure},
		{"AnUnknownSessionIsAFailure", anUnknownSessionIsAFailure},
		{"CancelKillsTheTree", cancelKillsTheTree},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// plainKey is what a key without the scopes that widen anything stands for.
func plainKey() auth.Principal {
	return auth.Principal{KeyID: "plain", Projects: []auth.Pattern{"*"}, Scopes: []auth.Scope{
		auth.ScopeCommandsClaude, auth.ScopeCommandsShell, auth.ScopeCommandsRead, auth.ScopeCommandsCancel, auth.ScopeStreamsRead,
	}}
}

func (s Subject) start(t *testing.T, caller auth.Principal, r policy.Request) rdev.Command {
	t.Helper()
	cmd, _, err := s.Service.Run(t.Context(), caller, rdev.Request{Project: s.Project, Request: r})
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// end waits for the end of a command and returns its record and its output.
func (s Subject) end(t *testing.T, cmd rdev.Command) (rdev.Command, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.Patience)
	defer cancel()
	var output strings.Builder
	err := s.Service.Follow(ctx, auth.Admin(), s.Project, cmd.ID, 0, func(e stream.Event) error {
		if e.Kind.Terminal() {
			return nil
		}
		line, err := rdev.DecodeOutput(e)
		output.Write(line.Data)
		if !line.Partial {
			output.WriteByte('\n')
		}
		return err
	})
	if err != nil {
		t.Fatalf("follow %s: %v; so far it printed\n%s", cmd.ID, err, output.String())
	}
	ended, err := s.Service.Get(ctx, auth.Admin(), s.Project, cmd.ID)
	if err != nil {
		t.Fatal(err)
	}
	return ended, output.String()
}

// claude runs claude to its end, which must be one with a result.
func (s Subject) claude(t *testing.T, c policy.Claude) rdev.Command {
	t.Helper()
	cmd, output := s.end(t, s.start(t, plainKey(), policy.Request{Claude: &c}))
	if cmd.Claude == nil {
		t.Fatalf("%s: %s %s: there was no result; claude printed\n%s", cmd.State, cmd.Code, cmd.Message, output)
	}
	return cmd
}

// shell runs a program and returns its exit code.
func (s Subject) shell(t *testing.T, argv ...string) int {
	t.Helper()
	cmd, _ := s.end(t, s.start(t, plainKey(), policy.Request{Shell: &policy.Shell{Argv: argv}}))
	if cmd.Result == nil {
		t.Fatalf("%q: %s %s", argv, cmd.Code, cmd.Message)
	}
	return cmd.Result.ExitCode
}

func want[T comparable](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}

// used is what n answers of the stand-in use.
func used(n int64) rdev.ClaudeUsage {
	return rdev.ClaudeUsage{
		InputTokens: n * InputTokens, OutputTokens: n * OutputTokens,
		CacheReadTokens: n * CacheReadTokens, CacheWriteTokens: n * CacheWriteTokens,
	}
}

func resultIsTyped(t *testing.T, s Subject) {
	cmd := s.claude(t, policy.Claude{Prompt: "say hello; `rm -rf` $(id) --version"})
	want(t, "state", cmd.State, rdev.StateSucceeded)
	want(t, "exit code", cmd.Result.ExitCode, 0)
	want(t, "subtype", cmd.Claude.Subtype, "success")
	want(t, "turns", cmd.Claude.Turns, 1)
	want(t, "denials", cmd.Claude.Denials, 0)
	want(t, "usage", cmd.Claude.Usage, used(1))
	want(t, "usage of the session", cmd.Claude.SessionUsage, used(1))
	want(t, "cost of the session", cmd.Claude.SessionCostUSD, cmd.Claude.CostUSD)
	if cmd.Claude.CostUSD <= 0 || len(cmd.Claude.SessionID) != 36 {
		t.Errorf("cost %v, session %q", cmd.Claude.CostUSD, cmd.Claude.SessionID)
	}
}

func allowedToolsRun(t *testing.T, s Subject) {
	cmd := s.claude(t, policy.Claude{Prompt: "bash touch allowed", AllowedTools: []string{"Bash(touch *)"}})
	want(t, "state", cmd.State, rdev.StateSucceeded)
	want(t, "turns", cmd.Claude.Turns, 2)
	want(t, "usage", cmd.Claude.Usage, used(2))
	want(t, "denials", cmd.Claude.Denials, 0)
	want(t, "exit code of test -e", s.shell(t, "test", "-e", "allowed"), 0)
}

func deniedToolsDoNotRun(t *testing.T, s Subject) {
	for _, tools := range [][]string{nil, {"Read"}, {"Bash(git log:*)"}} {
		cmd := s.claude(t, policy.Claude{Prompt: "bash touch denied", AllowedTools: tools, PermissionMode: "default"})
		want(t, "state", cmd.State, rdev.StateSucceeded) // the run went on
		want(t, "denials", cmd.Claude.Denials, 1)
		want(t, "exit code of test -e", s.shell(t, "test", "-e", "denied"), 1)
	}
}

func wideningNeedsTheScope(t *testing.T, s Subject) {
	request := policy.Request{Claude: &policy.Claude{Prompt: "bash touch widened", AllowedTools: []string{"Bash"}}}
	_, _, err := s.Service.Run(t.Context(), plainKey(), rdev.Request{Project: s.Project, Request: request})
	want(t, "code", rdev.CodeOf(err), rdev.CodeCommandRejected)
	key := plainKey()
	key.Scopes = append(key.Scopes, auth.ScopeClaudeUnrestricted)
	cmd, _ := s.end(t, s.start(t, key, request))
	want(t, "state", cmd.State, rdev.StateSucceeded)
	want(t, "exit code of test -e", s.shell(t, "test", "-e", "widened"), 0)
}

func sessionsGoOn(t *testing.T, s Subject) {
	first := s.claude(t, policy.Claude{Prompt: "say one"})
	for n := int64(2); n <= 3; n++ {
		next := s.claude(t, policy.Claude{Prompt: fmt.Sprintf("say %d", n), SessionID: first.Claude.SessionID})
		want(t, "state", next.State, rdev.StateSucceeded)
		want(t, "session", next.Claude.SessionID, first.Claude.SessionID)
		want(t, "usage", next.Claude.Usage, used(1))
		want(t, "usage of the session", next.Claude.SessionUsage, used(n))
		want(t, "cost", fmt.Sprintf("%.9f", next.Claude.CostUSD), fmt.Sprintf("%.9f", first.Claude.CostUSD))
		want(t, "cost of the session", fmt.Sprintf("%.9f", next.Claude.SessionCostUSD), fmt.Sprintf("%.9f", float64(n)*first.Claude.CostUSD))
	}
}

func aLimitIsAFailure(t *testing.T, s Subject) {
	cmd := s.claude(t, policy.Claude{Prompt: "loop echo again", MaxTurns: 2, AllowedTools: []string{"Bash(echo *)"}})
	want(t, "state", cmd.State, rdev.StateFailed)
	want(t, "code", cmd.Code, rdev.CodeClaudeError)
	want(t, "subtype", cmd.Claude.Subtype, "error_max_turns")
	want(t, "usage", cmd.Claude.Usage, used(2))
}

func anErrorIsAFailure(t *testing.T, s Subject) {
	cmd := s.claude(t, policy.Claude{Prompt: "fail 400"})
	want(t, "state", cmd.State, rdev.StateFailed)
	want(t, "code", cmd.Code, rdev.CodeClaudeError)
	want(t, "is an error", cmd.Claude.IsError, true)
	want(t, "message", cmd.Message, "claude reported an error after 1 turns; the API answered 400")
}

func anUnknownSessionIsAFailure(t *testing.T, s Subject) {
	cmd := s.claude(t, policy.Claude{Prompt: "say x", SessionID: "00000000-0000-4000-8000-000000000000"})
	want(t, "state", cmd.State, rdev.StateFailed)
	want(t, "subtype", cmd.Claude.Subtype, "error_during_execution")
}

// cancelKillsTheTree has claude start programs, one in a session of its own,
// and cancels it: none of them is left.
func cancelKillsTheTree(t *testing.T, s Subject) {
	key := plainKey()
	key.Scopes = append(key.Scopes, auth.ScopeClaudeUnrestricted)
	cmd := s.start(t, key, policy.Request{Claude: &policy.Claude{
		Prompt: "bash setsid sh -c 'echo $$ > one; exec sleep 4711' & sleep 4711 & echo $! > two; wait", AllowedTools: []string{"Bash"},
	}})
	var processes []string
	for _, file := range []string{"one", "two"} {
		for deadline := time.Now().Add(s.Patience); s.shell(t, "test", "-s", file) != 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("claude started nothing")
			}
		}
		_, pid := s.end(t, s.start(t, key, policy.Request{Shell: &policy.Shell{Argv: []string{"cat", file}}}))
		processes = append(processes, "/proc/"+strings.TrimSpace(pid)+"/status")
	}
	for _, process := range processes {
		want(t, "exit code of test -e "+process+" before", s.shell(t, "test", "-e", process), 0)
	}
	if _, err := s.Service.Cancel(t.Context(), key, s.Project, cmd.ID); err != nil {
		t.Fatal(err)
	}
	ended, _ := s.end(t, cmd)
	want(t, "state", ended.State, rdev.StateCanceled)
	want(t, "survivors", len(ended.Result.Survivors), 0)
	for _, process := range processes {
		// Whoever has inherited it may not have reaped it yet.
		if _, status := s.end(t, s.start(t, key, policy.Request{Shell: &policy.Shell{Argv: []string{"cat", process}}})); strings.Contains(status, "State:") && !strings.Contains(status, "zombie") {
			t.Errorf("a process of claude is left:\n%s", status)
		}
	}
}
