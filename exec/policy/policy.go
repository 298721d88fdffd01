// Package policy turns a typed request (a Claude Code prompt, a shell command,
// a git command) into the argv that an [exec.Command] runs, or refuses it.
//
// A request has one of three levels:
//
//   - [Strict]: git by a table of subcommands with exact options, claude by
//     typed fields, and otherwise only the programs that Policy.Programs lists.
//   - [Restricted], the default: any one simple command of literal words, run
//     as argv. It keeps a value that somebody pasted into a command from
//     becoming a second command. It does not contain a hostile key: env, find
//     -exec, make or an interpreter run what they are told to. A shell may run
//     a script that is a file, but no text of the caller (sh -c). git and
//     claude obey the same rules as in Strict, also when they are spelled as a
//     shell command.
//   - [Permissive]: a command line is given to `sh -c`, if Policy.AllowShell is
//     set too; otherwise it is Restricted.
//
// The rules for programs are the same for an argv and for a command line. In the
// first two levels rdev gives no text of a caller to a shell: the command
// line is parsed as both bash and POSIX sh, everything in it that either would
// act upon is refused with its column, and the words that are left are the
// argv. A shell that would read it differently cannot matter, since none does.
//
// What people usually ban as substrings is refused where it acts and allowed
// where it is text:
//
//	;            refused unquoted; text within quotes: git commit -m "a; b"
//	&& || |      likewise
//	` and $(     refused unquoted and within double quotes; text within single
//	             quotes, behind a backslash, and in a prompt
//	> and <      refused unquoted; text within quotes: git log --format="%h <%ae>"
//	rm -rf       refused where rm is the program (also behind env, xargs, find
//	             -exec and the like) and is told both to recurse and to force,
//	             in any spelling; text as an argument: echo rm -rf, grep "rm -rf"
//	dd if=       refused where dd is the program and has an if= or of= operand;
//	             text as an argument: git log --grep="dd if="
//
// A policy separates what keys may ask for. It is no sandbox: git runs filters
// and merge drivers that a hostile repository configures, claude runs the tools
// it was allowed, and the boundary that holds is the target itself, the pod.
package policy

import (
	"fmt"
	"slices"
)

// A Policy decides about requests. Its zero value is the default: Restricted,
// no shell, nothing that widens what claude may do. It is not changed by its
// methods, which are safe for concurrent use.
type Policy struct {
	// Level defaults to Restricted. An unknown one refuses everything.
	Level Level
	// AllowShell says that the caller may use a shell. Nothing happens with
	// it but in level Permissive.
	AllowShell bool
	// Programs lists what a shell request may start in level Strict besides
	// git and claude, compared with the first word of the command as it
	// stands. A program on the list may be given any arguments (but rm no -rf,
	// dd no files), and one that starts others (a shell, env, xargs, find,
	// make, an interpreter) may start anything. Defaults to none.
	Programs []string
	// WidenClaude allows what takes the questions out of claude's permission
	// system: the permission modes bypassPermissions and auto, tools that can
	// run any program (Bash without a pattern, or with one that begins with a
	// wildcard, a shell or a program that starts others), and where tools are
	// limited, by ClaudeTools or in level Strict, the mode acceptEdits.
	WidenClaude bool
	// ClaudeTools lists the entries that allowed_tools may hold, compared as
	// they stand. Defaults to tools that only read in level Strict, and to
	// every tool that WidenClaude is not needed for in the others.
	ClaudeTools []string
	// ClaudeModels lists the models that a request may name. Defaults to every
	// well-formed name.
	ClaudeModels []string
}

// A Plan is what to run: its fields are those of an [exec.Command].
type Plan struct {
	// Type is the type whose rules were applied. It differs from the
	// request's if a shell request spells git or claude, so that a caller can
	// ask for that type's permission too.
	Type Type
	Argv []string
	// Asked is what the caller asked for, for people to read: the program and
	// its arguments without those that the policy adds to every command of
	// the type. A prompt is not in it.
	Asked []string
	Env   map[string]string
	Stdin []byte
	// Shell says that Argv gives text of the caller to a shell.
	Shell bool
}

// Plan returns how to run the request. A request that the policy does not
// allow is a *[Refusal]; one that no policy could allow (nothing or too much is
// set, an empty program, a NUL byte, invalid UTF-8) is an *exec.FieldError. The
// result shares no memory with the request.
func (p Policy) Plan(r Request) (Plan, error) {
	if err := r.validate(); err != nil {
		return Plan{}, err
	}
	switch p.Level {
	case "":
		p.Level = Restricted
	case Strict, Restricted, Permissive:
	default:
		return Plan{}, &Refusal{
			Code:   "policy.level",
			Reason: fmt.Sprintf("the policy has the unknown level %q, which allows nothing", p.Level),
		}
	}
	plan, err := p.plan(r)
	if err != nil {
		return Plan{}, err
	}
	if plan.Asked == nil {
		plan.Asked = slices.Clone(plan.Argv)
	}
	if plan, err = p.addEnv(plan, r.Env); err != nil {
		return Plan{}, err
	}
	return plan, nil
}

func (p Policy) plan(r Request) (Plan, error) {
	switch r.Type() {
	case TypeClaude:
		return p.planClaude(*r.Claude)
	case TypeGit:
		return p.planGit(argList{field: "args", args: r.Git.Args}, "git")
	default:
		return p.planShell(*r.Shell)
	}
}
