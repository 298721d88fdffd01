package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
)

func TestInvalidRequestNamesTheField(t *testing.T) {
	claude := func(change func(*policy.Claude)) policy.Request {
		c := policy.Claude{Prompt: "hi"}
		change(&c)
		return policy.Request{Claude: &c}
	}
	for name, tc := range map[string]struct {
		field   string
		request policy.Request
	}{
		"Nothing":         {"request", policy.Request{}},
		"TwoTypes":        {"request", policy.Request{Git: &policy.Git{Args: []string{"status"}}, Shell: &policy.Shell{Command: "ls"}}},
		"EmptyCommand":    {"command", shellRequest("")},
		"BlankCommand":    {"command", shellRequest(" \t\n")},
		"EmptyProgram":    {"command", shellRequest("'' x")},
		"NULInCommand":    {"command", shellRequest("ls \x00")},
		"InvalidCommand":  {"command", shellRequest("ls \xff")},
		"LongCommand":     {"command", shellRequest("ls " + strings.Repeat("x", policy.MaxCommand-2))},
		"ManyWords":       {"command", shellRequest("ls" + strings.Repeat(" x", exec.MaxArgs))},
		"BothForms":       {"command", policy.Request{Shell: &policy.Shell{Command: "ls", Argv: []string{"ls"}}}},
		"EmptyArgv":       {"argv", policy.Request{Shell: &policy.Shell{Argv: []string{}}}},
		"NoProgram":       {"argv", argvRequest("", "x")},
		"NULInArgv":       {"argv[1]", argvRequest("ls", "\x00")},
		"InvalidArgv":     {"argv[0]", argvRequest("\xfe")},
		"LongArgv":        {"argv", argvRequest("ls", strings.Repeat("x", exec.MaxArgBytes))},
		"ManyArgs":        {"argv", argvRequest(make([]string, exec.MaxArgs+1)...)},
		"EnvName":         {"env", policy.Request{Shell: &policy.Shell{Command: "ls"}, Env: map[string]string{"A=B": ""}}},
		"EnvNUL":          {"env", policy.Request{Shell: &policy.Shell{Command: "ls"}, Env: map[string]string{"A\x00": ""}}},
		"EnvValue":        {"env.A", policy.Request{Shell: &policy.Shell{Command: "ls"}, Env: map[string]string{"A": "\x00"}}},
		"NoArgs":          {"args", gitRequest()},
		"OnlyNoPager":     {"args", gitRequest("--no-pager")},
		"NULInArgs":       {"args[1]", gitRequest("log", "\x00")},
		"EmptyPrompt":     {"prompt", claude(func(c *policy.Claude) { c.Prompt = " \n" })},
		"NULInPrompt":     {"prompt", claude(func(c *policy.Claude) { c.Prompt = "a\x00" })},
		"InvalidPrompt":   {"prompt", claude(func(c *policy.Claude) { c.Prompt = "a\xff" })},
		"LongPrompt":      {"prompt", claude(func(c *policy.Claude) { c.Prompt = strings.Repeat("x", exec.MaxStdin+1) })},
		"NegativeTurns":   {"max_turns", claude(func(c *policy.Claude) { c.MaxTurns = -1 })},
		"ManyTurns":       {"max_turns", claude(func(c *policy.Claude) { c.MaxTurns = 10001 })},
		"NoUUID":          {"session_id", claude(func(c *policy.Claude) { c.SessionID = "last" })},
		"UUIDWithOption":  {"session_id", claude(func(c *policy.Claude) { c.SessionID = "--settings=x00000000000000000000000" })},
		"UUIDWithoutDash": {"session_id", claude(func(c *policy.Claude) { c.SessionID = "0123456789abcdef0123456789abcdef0123" })},
		"NULInModel":      {"model", claude(func(c *policy.Claude) { c.Model = "a\x00" })},
		"InvalidTool":     {"allowed_tools[1]", claude(func(c *policy.Claude) { c.AllowedTools = []string{"Read", "\xff"} })},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			_, err := policy.Policy{}.Plan(tc.request)
			var field *exec.FieldError
			is.True(errors.As(err, &field)) // a FieldError
			is.Equal(field.Field, tc.field)
			is.True(!errors.Is(err, policy.ErrRefused))
		})
	}
}

func TestLevels(t *testing.T) {
	t.Run("UnknownLevelRefusesEverything", func(t *testing.T) {
		is := is.New(t)
		for _, r := range []policy.Request{shellRequest("ls"), gitRequest("status"), {Claude: &policy.Claude{Prompt: "hi"}}} {
			is.Equal(refusal(t, policy.Policy{Level: "none", AllowShell: true}, r).Code, "policy.level")
		}
	})
	t.Run("PermissiveNeedsAllowShell", func(t *testing.T) {
		is := is.New(t)
		is.Equal(refusal(t, policy.Policy{Level: policy.Permissive}, shellRequest("ls | sh")).Code, "shell.operator")
		is.Equal(refusal(t, policy.Policy{AllowShell: true}, shellRequest("ls | sh")).Code, "shell.operator")
		is.Equal(refusal(t, policy.Policy{Level: policy.Strict, AllowShell: true}, shellRequest("ls")).Code, "shell.program")
		plan, err := policy.Policy{Level: policy.Permissive, AllowShell: true}.Plan(shellRequest("ls | wc -l > $X; rm -rf x"))
		is.NoErr(err)
		is.Equal(plan.Argv, []string{"sh", "-c", "ls | wc -l > $X; rm -rf x"})
		is.True(plan.Shell)
		plan, err = policy.Policy{Level: policy.Permissive, AllowShell: true}.Plan(argvRequest("rm", "-rf", "x"))
		is.NoErr(err)
		is.Equal(plan.Argv, []string{"rm", "-rf", "x"})
		is.True(!plan.Shell)
	})
	t.Run("ArgvFollowsTheSameRules", func(t *testing.T) {
		is := is.New(t)
		r := refusal(t, policy.Policy{}, argvRequest("rm", "x", "-rf"))
		is.Equal(r.Field, "argv[2]")
		is.Equal(r.Column, 1)
		r = refusal(t, policy.Policy{}, argvRequest("git", "log", "--output=x"))
		is.Equal(r.Field, "argv[2]")
		r = refusal(t, policy.Policy{}, argvRequest("sudo", "env", "sh", "-c", "ls"))
		is.Equal(r.Field, "argv[3]")
		plan, err := policy.Policy{}.Plan(argvRequest("echo", "a; b", "$(x)", "", "\r\n", "*"))
		is.NoErr(err)
		is.Equal(plan.Argv, []string{"echo", "a; b", "$(x)", "", "\r\n", "*"})
	})
	t.Run("StrictListsPrograms", func(t *testing.T) {
		is := is.New(t)
		p := policy.Policy{Level: policy.Strict, Programs: []string{"make", "rm", "./run", "/usr/bin/git", "sh"}}
		for _, command := range []string{"make -j4 all", "rm -f x", "./run 'a b'", "sh -c ls", "git status", "/usr/bin/git status"} {
			_, err := p.Plan(shellRequest(command))
			is.NoErr(err)
		}
		is.Equal(refusal(t, p, shellRequest("run x")).Code, "shell.program")
		is.Equal(refusal(t, p, shellRequest("rm -rf x")).Code, "shell.destructive")
		is.Equal(refusal(t, p, shellRequest("/usr/bin/git -C x status")).Code, "git.option") // a list does not open git
		is.Equal(refusal(t, p, shellRequest("./git status")).Code, "shell.program")
	})
	t.Run("PlanSharesNothing", func(t *testing.T) {
		is := is.New(t)
		r := policy.Request{Shell: &policy.Shell{Argv: []string{"echo", "a"}}, Env: map[string]string{"A": "1"}}
		plan, err := policy.Policy{}.Plan(r)
		is.NoErr(err)
		plan.Argv[1], plan.Env["A"] = "b", "2"
		is.Equal(r.Shell.Argv[1], "a")
		is.Equal(r.Env["A"], "1")
	})
}

func TestTypes(t *testing.T) {
	is := is.New(t)
	is.Equal(policy.Request{}.Type(), policy.Type(""))
	is.Equal(shellRequest("x").Type(), policy.TypeShell)
	is.Equal(gitRequest("x").Type(), policy.TypeGit)
	is.Equal(policy.Request{Claude: &policy.Claude{}}.Type(), policy.TypeClaude)
	for command, want := range map[string]policy.Type{"ls": "shell", "git status": "git", "/usr/bin/git status": "git", "claude -p hi": "claude"} {
		plan, err := policy.Policy{}.Plan(shellRequest(command))
		is.NoErr(err)
		is.Equal(plan.Type, want)
	}
}

func TestEnv(t *testing.T) {
	plan := func(p policy.Policy, command string, env map[string]string) (policy.Plan, error) {
		return p.Plan(policy.Request{Shell: &policy.Shell{Command: command}, Env: env})
	}
	strict := policy.Policy{Level: policy.Strict, Programs: []string{"ls"}}
	t.Run("GitKeepsItsOwn", func(t *testing.T) {
		is := is.New(t)
		p, err := plan(policy.Policy{}, "git status", map[string]string{"LC_ALL": "de_DE.UTF-8", "TZ": "Europe/Berlin", "GIT_AUTHOR_NAME": "/x"})
		is.NoErr(err)
		is.Equal(p.Env["LC_ALL"], "C")
		is.Equal(p.Env["TZ"], "Europe/Berlin")
		is.Equal(p.Env["GIT_ALLOW_PROTOCOL"], "https:ssh")
		is.Equal(p.Env["GIT_CONFIG_NOSYSTEM"], "") // the target's configuration counts
		p, err = plan(strict, "git status", nil)
		is.NoErr(err)
		is.Equal(p.Env["GIT_CONFIG_NOSYSTEM"], "1")
		is.Equal(p.Env["GIT_CONFIG_GLOBAL"], "/dev/null")
	})
	t.Run("WhatCanRunProgramsIsRefused", func(t *testing.T) {
		is := is.New(t)
		for _, name := range []string{"GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_EXEC_PATH", "GIT_TRACE", "GIT_PAGER", "LD_PRELOAD", "PATH", "HOME", "DYLD_INSERT_LIBRARIES", "PAGER", "EDITOR", "SSH_ASKPASS", "BASH_ENV", "git_ssh", "ANTHROPIC_BASE_URL", "NODE_OPTIONS", "CLAUDE_CONFIG_DIR"} {
			for _, command := range []string{"git status", "claude -p hi"} {
				_, err := plan(policy.Policy{}, command, map[string]string{name: "x"})
				is.True(errors.Is(err, policy.ErrRefused)) // for git and claude
			}
			_, err := plan(strict, "ls", map[string]string{name: "x"})
			is.True(errors.Is(err, policy.ErrRefused)) // in strict
			_, err = plan(policy.Policy{}, "ls", map[string]string{name: "x"})
			is.NoErr(err)
			_, err = plan(policy.Policy{Level: policy.Permissive, AllowShell: true}, "git status", map[string]string{name: "x"})
			is.NoErr(err)
		}
		for _, value := range []string{"/etc/passwd", ":/etc/passwd", "../../x", "x\n"} {
			_, err := plan(policy.Policy{}, "git status", map[string]string{"TZ": value})
			is.True(errors.Is(err, policy.ErrRefused))
		}
		_, err := plan(policy.Policy{}, "claude -p hi", map[string]string{"GIT_AUTHOR_NAME": "x"})
		is.True(errors.Is(err, policy.ErrRefused))
		_, err = plan(policy.Policy{}, "claude -p hi", map[string]string{"LC_TIME": "C"})
		is.NoErr(err)
	})
	t.Run("RequestsOfAllTypes", func(t *testing.T) {
		is := is.New(t)
		git := policy.Request{Git: &policy.Git{Args: []string{"status"}}, Env: map[string]string{"GIT_SSH": "x"}}
		for _, p := range []policy.Policy{{}, {Level: policy.Permissive, AllowShell: true}} {
			_, err := p.Plan(git)
			is.True(errors.Is(err, policy.ErrRefused))
		}
	})
}

func TestRefusal(t *testing.T) {
	is := is.New(t)
	r := refusal(t, policy.Policy{}, shellRequest("ls; id"))
	is.Equal(r.Error(), `policy: command: column 3: ";": `+r.Reason)
	r = refusal(t, policy.Policy{}, shellRequest("$"+strings.Repeat("é", 100)+" $(x)"))
	is.Equal(r.Column, 203)
	r = refusal(t, policy.Policy{}, gitRequest(strings.Repeat("é", 100)))
	is.Equal(r.Token, strings.Repeat("é", 32)) // at most 64 bytes
	r = refusal(t, policy.Policy{}, gitRequest("x"+strings.Repeat("é", 100)))
	is.Equal(r.Token, "x"+strings.Repeat("é", 31)) // and no half character
}

func ExamplePolicy_Plan() {
	var p policy.Policy
	for _, command := range []string{`git log --format="%h | %an"`, "echo 'a; b'", "ls -la; id"} {
		plan, err := p.Plan(policy.Request{Shell: &policy.Shell{Command: command}})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s: %q\n", plan.Type, plan.Argv[len(plan.Argv)-1])
	}
	// Output:
	// git: "--format=%h | %an"
	// shell: "a; b"
	// policy: command: column 7: ";": a command may not be followed by another or put into the background; quote it if it is text
}
