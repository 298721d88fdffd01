package policy

// planGit plans git, found as program, with the arguments of the list.
func (p Policy) planGit(list argList, program string) (Plan, error) {
	return Plan{
		Type: TypeGit,
		Argv: append([]string{program}, list.args...),
		Env:  map[string]string{"GIT_TERMINAL_PROMPT": "0"},
	}, nil
}
