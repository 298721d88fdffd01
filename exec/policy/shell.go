package policy

import "slices"

// planShell plans a program with its arguments, given as a list or as a line.
func (p Policy) planShell(s Shell) (Plan, error) {
	if p.Level == Permissive && p.AllowShell {
		plan := Plan{Type: TypeShell, Argv: slices.Clone(s.Argv)}
		if s.Argv == nil {
			plan.Argv, plan.Shell = []string{"sh", "-c", s.Command}, true
		}
		return plan, nil
	}
	list := argList{field: "argv", args: s.Argv}
	if s.Argv == nil {
		argv, columns, err := split(s.Command)
		if err != nil {
			return Plan{}, err
		}
		if argv[0] == "" {
			return Plan{}, fieldErrorf("command", "has an empty first word: there is no program to run")
		}
		list = argList{field: "command", args: argv, columns: columns}
		if err := list.validate(); err != nil {
			return Plan{}, err
		}
	}
	return p.planProgram(list)
}

// planProgram plans an argv in the levels that use no shell.
func (p Policy) planProgram(list argList) (Plan, error) {
	program := list.args[0]
	listed := slices.Contains(p.Programs, program)
	// Only the bare names count unless listed: a path could lead to a program
	// of the workspace that merely has the name.
	if p.Level == Strict && !listed && program != "git" && program != "claude" {
		return Plan{}, list.refuse(0, "shell.program", "this program is not on the list of those that are allowed here")
	}
	name := programName(program)
	switch name {
	case "git":
		return p.planGit(list.from(1), program)
	case "claude":
		return p.planClaudeArgs(list)
	}
	if p.Level != Strict || name == "rm" || name == "dd" {
		if refusal := checkProgram(list, false); refusal != nil {
			return Plan{}, refusal
		}
	}
	return Plan{Type: TypeShell, Argv: slices.Clone(list.args)}, nil
}
