package policy

import (
	"fmt"
	"strings"
)

// planGit plans git, found as program, with the arguments of the list. The
// table in gittable.go says what is allowed; here the arguments are held
// against it.
//
// Options are compared as they are written. git itself also takes every
// unambiguous beginning of a long option, and short ones joined to each other
// and to their values; lists of forbidden options have failed over that again
// and again. An argument that begins with a dash and is not in the table is
// refused, wherever it stands before a --.
func (p Policy) planGit(list argList, program string) (Plan, error) {
	at := 0
	for at < len(list.args) && list.args[at] == "--no-pager" { // it is always set
		at++
	}
	if at == len(list.args) {
		return Plan{}, fieldErrorf(list.field, "holds no git subcommand")
	}
	asked := append([]string{program}, list.args...)
	argv := append([]string{program, "--no-pager"}, gitConfig(p.Level)...)
	name := list.args[at]
	if name == "--version" && at == len(list.args)-1 {
		return Plan{Type: TypeGit, Argv: append(argv, "version"), Asked: asked, Env: gitEnv(p.Level)}, nil
	}
	if strings.HasPrefix(name, "-") {
		return Plan{}, list.refuse(at, "git.option", "only --version and --no-pager may stand before the subcommand")
	}
	command, ok := gitCommandOf(name)
	if !ok {
		return Plan{}, list.refuse(at, "git.subcommand", "this git subcommand is not allowed")
	}
	argv = append(argv, name)
	at++
	if len(command.verbs) > 0 && at < len(list.args) && command.verbs[list.args[at]].known {
		name += " " + list.args[at]
		argv = append(argv, list.args[at])
		command = command.verbs[list.args[at]]
		at++
	}
	argv = append(argv, command.forced...)
	rest, err := command.check(list, at, name)
	if err != nil {
		return Plan{}, err
	}
	return Plan{Type: TypeGit, Argv: append(argv, rest...), Asked: asked, Env: gitEnv(p.Level)}, nil
}

// check holds the arguments from at on against the table's entry.
func (c gitCommand) check(list argList, at int, name string) ([]string, error) {
	var options, operands, paths []string
	for ; at < len(list.args); at++ {
		arg := list.args[at]
		switch {
		case arg == "--":
			if !c.paths {
				return nil, list.refuse(at, "git.path", "git "+name+" takes no paths here")
			}
			for at++; at < len(list.args); at++ {
				if problem := checkValue("path", list.args[at]); problem != "" {
					return nil, list.refuse(at, "git.path", problem)
				}
				paths = append(paths, list.args[at])
			}
			return c.join(options, operands, paths, true), nil
		case strings.HasPrefix(arg, "-"):
			takesNext, problem := c.option(arg)
			if problem != "" {
				return nil, list.refuse(at, "git.option", "git "+name+": "+problem)
			}
			options = append(options, arg)
			if takesNext == "" {
				continue
			}
			if at++; at == len(list.args) {
				return nil, list.refuse(at-1, "git.value", "the value of the option is missing")
			}
			value := list.args[at]
			problem = checkValue(takesNext, value)
			// Should git for once not take the next argument as the value,
			// then it must be no option. Messages are the exception: git
			// commit, tag, merge and stash are known to take them.
			if strings.HasPrefix(value, "-") && takesNext != "message" {
				problem = "the value of an option may not begin with a dash"
			}
			if problem != "" {
				return nil, list.refuse(at, "git.value", problem)
			}
			options = append(options, value)
		default:
			kind, problem := c.operand(len(operands))
			if problem == "" {
				if problem = checkValue(kind, arg); problem != "" && c.paths && kind == "rev" {
					problem += "; paths go after --"
				}
			}
			if problem != "" {
				return nil, list.refuse(at, "git.operand", "git "+name+": "+problem)
			}
			operands = append(operands, arg)
		}
	}
	return c.join(options, operands, nil, false), nil
}

// join puts options, operands and paths in the order that leaves git nothing
// to guess. Where all operands are paths, they go behind a --.
func (c gitCommand) join(options, operands, paths []string, separated bool) []string {
	argv := append(options, operands...)
	if c.allPaths() && len(operands) > 0 {
		argv = append(append(options[:len(options):len(options)], "--"), operands...)
		return append(argv, paths...)
	}
	if separated {
		argv = append(append(argv, "--"), paths...)
	}
	return argv
}

// option looks an argument up among the options. kind is that of the value
// which the next argument must be, or empty.
func (c gitCommand) option(arg string) (kind, problem string) {
	name, value, joined := strings.Cut(arg, "=")
	for _, known := range c.options {
		switch {
		case known.name == "-<number>" && len(arg) > 1 && onlyBytes(arg[1:], "0123456789"):
			return "", checkValue("number", arg[1:])
		case known.name != name:
		case joined && (known.form == joinedValue || known.form == optionalValue):
			return "", checkValue(known.kind, value)
		case !joined && known.form == separateValue:
			return known.kind, ""
		case !joined && (known.form == noValue || known.form == optionalValue):
			return "", ""
		}
	}
	return "", "this option is not allowed as it is written; options are given one by one and in full"
}

// operand returns the kind of the operand with that index.
func (c gitCommand) operand(i int) (kind, problem string) {
	if len(c.operands) == 0 {
		return "", "takes no operands"
	}
	last := len(c.operands) - 1
	kind, repeated := strings.CutSuffix(c.operands[min(i, last)], "...")
	if i > last && !repeated {
		return "", fmt.Sprintf("takes at most %d operands", len(c.operands))
	}
	return kind, ""
}

func (c gitCommand) allPaths() bool {
	return len(c.operands) == 1 && c.operands[0] == "path..."
}
