package policy

import "strings"

// GitSubcommands lists the names of the table, verbs as "stash push".
func GitSubcommands() []string {
	var names []string
	for name := range strings.FieldsSeq(`status diff diff-tree log show reflog rev-list shortlog blame grep ls-files ls-tree rev-parse
		describe cat-file name-rev merge-base for-each-ref show-ref check-ignore cherry count-objects config version
		add stage rm mv clean commit reset restore checkout switch branch tag merge rebase cherry-pick revert stash init
		fetch pull push ls-remote clone remote worktree`) {
		names = append(names, name)
		command, ok := gitCommandOf(name)
		if !ok {
			panic(name + " is not in the table")
		}
		for verb := range command.verbs {
			names = append(names, name+" "+verb)
		}
	}
	return names
}

// GitOptions lists the options of a subcommand as they would be written.
func GitOptions(name string) [][]string {
	var spellings [][]string
	for _, option := range gitEntry(name).options {
		value := option.kind
		switch value {
		case "number":
			value = "1"
		case "rev":
			value = "HEAD"
		case "remote", "branch", "word", "message":
			value = "x"
		case "text":
			value = "1"
		default:
			value, _, _ = strings.Cut(value, "|")
		}
		switch option.form {
		case noValue:
			spellings = append(spellings, []string{strings.Replace(option.name, "<number>", "1", 1)})
		case joinedValue:
			spellings = append(spellings, []string{option.name + "=" + value})
		case optionalValue:
			spellings = append(spellings, []string{option.name}, []string{option.name + "=" + value})
		case separateValue:
			spellings = append(spellings, []string{option.name, value})
		}
	}
	return spellings
}

// GitOptionNames lists the options of a subcommand without their values.
func GitOptionNames(name string) map[string]bool {
	names := map[string]bool{}
	for _, option := range gitEntry(name).options {
		names[option.name] = true
	}
	return names
}

func gitEntry(name string) gitCommand {
	name, verb, _ := strings.Cut(name, " ")
	command, _ := gitCommandOf(name)
	if verb != "" {
		command = command.verbs[verb]
	}
	return command
}

// CheckValue is checkValue.
func CheckValue(kind, value string) string { return checkValue(kind, value) }
