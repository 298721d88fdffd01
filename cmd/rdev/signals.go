package main

import "strings"

// signalNumbers are the numbers of signals where commands run, which is Linux
// whatever system this program was built for.
const signalNumbers = " HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT" +
	" CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"

// signalExit is the exit code of a command that a signal ended, as shells give
// it. An unknown name counts as SIGKILL: some signal it was.
func signalExit(name string) int {
	name = strings.TrimPrefix(name, "SIG")
	for i, known := range strings.Fields(signalNumbers) {
		if name == known {
			return exitSignal + i + 1
		}
	}
	return exitSignal + 9
}
