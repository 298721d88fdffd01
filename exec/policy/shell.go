package policy

import (
	"maps"
	"slices"
)

// planShell plans a program with its arguments, given as a list or as a line.
func (p Policy) planShell(s Shell) (Plan, error) {
	plan := Plan{Type: TypeShell, Env: maps.Clone(s.Env)}
	if p.Level == Permissive && p.AllowShell {
		if s.Argv != nil {
			plan.Argv = slices.Clone(s.Argv)
		} else {
			plan.Argv, plan.Shell = []string{"sh", "-c", s.Command}, true
		}
		return plan, nil
	}
	list := argList{"argv", s.Argv}
	if s.Argv == nil {
		argv, _, err := split(s.Command)
		if err != nil {
			return Plan{}, err
		}
		if argv[0] == "" {
			return Plan{}, fieldErrorf("command", "has an empty first word: there is no program to run")
		}
		list = argList{"command", argv}
	}
	plan.Argv = slices.Clone(list.args)
	return plan, nil
}
