package policy

import (
	"slices"
	"strings"
)

// checkProgram refuses what level Restricted does not run as a program:
// shells with text of the caller, builtins that there is no program for, and
// the two that destroy by a slip, rm -rf and dd. launched says that another
// program would start it.
//
// It looks through the usual launchers as far as they are written in the usual
// way. That is help against accidents and no wall: a launcher can always be
// told in some other way what to do.
func checkProgram(list argList, launched bool) *Refusal {
	name := programName(list.args[0])
	if !launched {
		if reason := builtin(list.args[0]); reason != "" {
			return list.refuse(0, "shell.builtin", reason)
		}
	}
	switch {
	case launched && (name == "git" || name == "claude"):
		return list.refuse(0, "shell.launcher", name+" must be started directly, not by another program")
	case name == "git-shell" || strings.HasPrefix(name, "git-"):
		return list.refuse(0, "shell.program", "the parts of git are started as git and a subcommand")
	case isShell(name):
		return checkShell(list)
	case name == "busybox" || name == "toybox":
		if len(list.args) > 1 && !strings.HasPrefix(list.args[1], "-") {
			return checkProgram(list.from(1), true)
		}
	case name == "rm":
		return checkRm(list)
	case name == "dd":
		return checkDd(list)
	case name == "find" || name == "fd":
		return checkFind(list)
	case isLauncher(name):
		return checkLaunched(list, name)
	}
	return nil
}

// programName returns the name by which a program is known: the last element
// of its path, in lower case, since some file systems ignore the case.
func programName(program string) string {
	name := strings.ToLower(program[strings.LastIndexByte(program, '/')+1:])
	return strings.TrimSuffix(name, ".exe")
}

// builtin says what to do instead of a builtin of the shell.
func builtin(program string) (reason string) {
	switch program {
	case "cd", "pushd", "popd":
		return "this changes the folder of a shell, and there is none; use cwd"
	case "export", "set", "unset":
		return "this changes the variables of a shell, and there is none; use env"
	case "eval", "exec", "source", ".", "command", "builtin":
		return "this is part of a shell, and there is none; name the program itself"
	case ":", "alias", "bg", "bind", "break", "caller", "compgen", "complete", "continue", "declare", "dirs", "disown", "enable", "exit",
		"fc", "fg", "getopts", "hash", "help", "history", "jobs", "let", "local", "logout", "mapfile", "read", "readarray", "readonly",
		"return", "shift", "shopt", "suspend", "times", "trap", "type", "typeset", "ulimit", "umask", "unalias", "wait":
		return "this is part of a shell, and there is none"
	}
	return ""
}

func isShell(name string) bool {
	return slices.Contains([]string{"ash", "bash", "csh", "dash", "elvish", "fish", "hush", "ksh", "ksh93", "mksh", "nu", "oksh", "osh", "pwsh", "rbash", "rksh", "rzsh", "sh", "tcsh", "xonsh", "yash", "zsh"}, name)
}

// checkShell lets a shell run a script that is there and nothing else: no text
// of the caller (-c), no start-up files, no interactive shell.
func checkShell(list argList) *Refusal {
	for i := 1; i < len(list.args); i++ {
		arg := list.args[i]
		switch {
		case arg == "--version" && len(list.args) == 2:
			return nil
		case strings.HasPrefix(arg, "-") && len(arg) > 1 && onlyBytes(arg[1:], "eunvx"):
		case !strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "+"):
			return nil // the script
		default:
			return list.refuse(i, "shell.inline", "a shell may only run a script that is a file; text for a shell needs the permissive level")
		}
	}
	return list.refuse(0, "shell.inline", "a shell without a script is not allowed")
}

// checkRm refuses to remove folders by force, however it is written: -rf, -fr,
// -r -f, -R --force, --rec --fo.
func checkRm(list argList) *Refusal {
	recursive, force := -1, -1
	for i, arg := range list.args[1:] {
		switch {
		case arg == "--":
			return nil
		case strings.HasPrefix(arg, "--"):
			name := arg[2:]
			if strings.HasPrefix("recursive", name) {
				recursive = i + 1
			}
			if strings.HasPrefix("force", name) {
				force = i + 1
			}
		case strings.HasPrefix(arg, "-"):
			if strings.ContainsAny(arg, "rR") {
				recursive = i + 1
			}
			if strings.Contains(arg, "f") {
				force = i + 1
			}
		}
		if recursive > 0 && force > 0 {
			return list.refuse(max(recursive, force), "shell.destructive", "rm may not both recurse and force; without -f it says what it cannot remove")
		}
	}
	return nil
}

// checkDd refuses to copy raw data: one slip overwrites a disk.
func checkDd(list argList) *Refusal {
	for i, arg := range list.args[1:] {
		if strings.HasPrefix(arg, "if=") || strings.HasPrefix(arg, "of=") {
			return list.refuse(i+1, "shell.destructive", "dd may not read or write files")
		}
	}
	return nil
}
