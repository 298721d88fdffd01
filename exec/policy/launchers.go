package policy

import (
	"slices"
	"strings"
)

// isLauncher reports whether a program starts the one that its arguments name.
func isLauncher(name string) bool {
	return slices.Contains([]string{"chroot", "chrt", "doas", "env", "flock", "ionice", "ltrace", "nice", "nohup", "nsenter", "parallel", "runuser", "setarch", "setpriv", "setsid", "stdbuf", "strace", "sudo", "taskset", "time", "timeout", "unbuffer", "unshare", "watch", "xargs"}, name)
}

// checkLaunched checks the program that a launcher starts.
func checkLaunched(list argList, launcher string) *Refusal {
	skip := 0 // operands before the program
	switch launcher {
	case "timeout", "flock", "chroot", "taskset", "chrt":
		skip = 1
	}
	for i := 1; i < len(list.args); i++ {
		arg := list.args[i]
		switch {
		case launcher == "env" && isSplit(arg):
			return list.refuse(i, "shell.launcher", "env may not split a text into a command; give the words one by one")
		case arg == "" || strings.HasPrefix(arg, "-"):
		case launcher == "env" && strings.Contains(arg, "="):
		default:
			if refusal := checkProgram(list.from(i), true); refusal != nil {
				return refusal
			}
			// It may also have been the value of an option (nice -n 5).
			if !strings.HasPrefix(list.args[i-1], "-") {
				if skip == 0 {
					return nil
				}
				skip--
			}
		}
	}
	return nil
}

// isSplit reports whether an argument of env is -S in any form.
func isSplit(arg string) bool {
	if name, ok := strings.CutPrefix(arg, "--"); ok {
		name, _, _ = strings.Cut(name, "=")
		return name != "" && strings.HasPrefix("split-string", name)
	}
	// -S may end a group of flags: -iS, -vS; -u and -C take the rest as value.
	flags, ok := strings.CutPrefix(arg, "-")
	return ok && strings.HasPrefix(strings.TrimLeft(flags, "iv0"), "S")
}

// checkFind checks the programs behind -exec and its relatives.
func checkFind(list argList) *Refusal {
	for i, arg := range list.args[:len(list.args)-1] {
		switch arg {
		case "-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch":
			if list.args[i+1] != "" {
				if refusal := checkProgram(list.from(i+1), true); refusal != nil {
					return refusal
				}
			}
		}
	}
	return nil
}
