package kube

import (
	"maps"
	"slices"
	"strings"

	"github.com/orchard9/rdev/exec"
)

// bootScript is the script that an exec names, with a nonce as its $1: it says
// that it is there and with which process id, reads a second script from
// standard input up to a line that is the nonce, and becomes that. Shells read
// lines byte by byte, so that what follows is left for the command. If the
// connection breaks before the nonce, nothing is run.
const bootScript = `printf '\036rdev:%s:ready:%s\n' "$1" "$$" >&2
s=
while IFS= read -r l; do
if [ "$l" = "$1" ]; then eval "$s"; exit; fi
s="$s$l
"
done
exit 125`

// bootArgv is the argv of an exec.
func bootArgv(nonce string) []string { return []string{"sh", "-c", bootScript, "rdev", nonce} }

// commandScript runs a command. Its records, on stderr:
//
//	workspace, dir          the folder cannot be entered
//	outside                 the folder is not in the workspace
//	notfound, notexec       the program cannot be executed
//	start                   the command is about to start
//
// and on both streams, behind all output:
//
//	end:CODE                it has ended
//
// After its last record the script stays until standard input ends, which is how
// it is told that the record has come: an exec that ends at once loses what it
// wrote last now and then. Where standard input is the command's, it stays for a
// moment instead.
//
// The command is a subshell that executes the program, so that builtins are
// not mistaken for programs. The session that an exec is in by itself is what
// the command's processes have in common; killScript finds them by that.
const commandScript = `rec() { printf '\036rdev:%s:%s\n' "$n" "$1" >&2; }
bye() { if [ -n "$a" ]; then IFS= read -r l; else sleep 0.2 2>/dev/null || sleep 1; fi; }
no() { rec "$1"; bye; exit 0; }
if [ -n "$w" ]; then cd -P "$w" 2>/dev/null || no workspace; fi
r=$(pwd -P)
cd -P "./$d" 2>/dev/null || no dir
case "$(pwd -P)/" in "${r%/}"/*) ;; *) no outside ;; esac
set -f
f= b=notfound
case $p in
*/*) f=$p; if [ ! -e "$f" ]; then no notfound; fi
  if [ ! -f "$f" ] || [ ! -x "$f" ]; then no notexec; fi ;;
*) IFS=:
  for i in $P; do
    i=${i:-.}/$p
    if [ -f "$i" ]; then if [ -x "$i" ]; then f=$i; break; fi; b=notexec; fi
  done
  unset IFS
  if [ -z "$f" ]; then no "$b"; fi ;;
esac
trap : TERM INT HUP QUIT
rec start
exec 3>&2 2>/dev/null
run
c=$?
printf '\036rdev:%s:end:%s\n' "$n" "$c"
printf '\036rdev:%s:end:%s\n' "$n" "$c" >&3
bye
exit "$c"
`

// cookieVariable marks the processes of a command that leave its session.
const cookieVariable = "RDEV_COOKIE"

// idVariable tells a command its ID.
const idVariable = "RDEV_COMMAND_ID"

// commandInput is what an exec's standard input carries for a command.
func commandInput(cmd exec.Command, p place, nonce string) []byte {
	var b strings.Builder
	b.Grow(len(cmd.Stdin) + 4096)
	assign := func(name, value string) { b.WriteString(name + "=" + quote(value) + "\n") }
	assign("n", nonce)
	assign("w", p.workspace)
	assign("d", cmd.Dir)
	assign("p", cmd.Argv[0])
	if path, ok := cmd.Env["PATH"]; ok {
		assign("P", path)
	} else {
		b.WriteString("P=$PATH\n")
	}
	if cmd.Stdin == nil {
		assign("a", "1") // the end of standard input is the answer
	} else {
		assign("a", "")
	}
	b.WriteString(runFunction(cmd, nonce))
	b.WriteString(commandScript)
	b.WriteString(nonce + "\n")
	b.Write(cmd.Stdin)
	return []byte(b.String())
}

// runFunction is the shell function that runs the program: its environment and
// its arguments stand nowhere else.
func runFunction(cmd exec.Command, nonce string) string {
	var b strings.Builder
	b.WriteString("run() {\n(\n")
	own := maps.Clone(cmd.Env)
	if own == nil {
		own = make(map[string]string)
	}
	own[idVariable] = cmd.ID
	own[cookieVariable] = nonce
	var odd []string // no names for a shell
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if isShellName(name) {
			b.WriteString("export " + name + "=" + quote(own[name]) + "\n")
		} else {
			odd = append(odd, quote(name+"="+own[name]))
		}
	}
	b.WriteString("exec")
	if len(odd) > 0 {
		b.WriteString(" env " + strings.Join(odd, " "))
	}
	if strings.HasPrefix(cmd.Argv[0], "-") {
		b.WriteString(` "$f"`) // exec has options of its own
	} else {
		b.WriteString(" " + quote(cmd.Argv[0]))
	}
	for _, arg := range cmd.Argv[1:] {
		b.WriteString(" " + quote(arg))
	}
	if cmd.Stdin == nil {
		b.WriteString(" </dev/null")
	}
	b.WriteString(" 2>&3 3>&-\n)\n}\n")
	return b.String()
}

// killScript ends the processes of a command: those in its session but for the
// process with its number, which waits for them and tells the exit code, and
// those that carry its cookie. TERM, its grace in tenths of a second, KILL, and
// that again until none was left twice in a row or there is no hope. The record
// "gone" names what is still alive. A process whose first thread has ended is a
// zombie while others live (the 18th word after its name counts them), and has
// its environment in these alone.
//
// A session's number is not given anew while a process is in it. If the process
// with that number is another than the script that had it, which has the cookie
// among its arguments, then nobody is left of the session, and the number does
// not count.
const killScript = `if [ -e "/proc/$s/cmdline" ]; then
  y=
  while IFS= read -r l || [ -n "$l" ]; do y=$y$l; done <"/proc/$s/cmdline"
  case $y in ''|*"${k#*=}"*) ;; *) s= ;; esac
fi 2>/dev/null
dead() {
case "$1" in
''|X) return 0 ;;
Z) [ "${18:-1}" -lt 2 ] ;;
*) return 1 ;;
esac
}
members() {
m= y=
for i in /proc/[0-9]*; do
  q=${i#/proc/}
  if [ "$q" = "$s" ] && [ -z "$a" ]; then continue; fi
  l=
  { IFS= read -r l <"$i/stat"; } 2>/dev/null
  set -- ${l##*) }
  if dead "$@"; then continue; fi
  if [ "$1" = Z ]; then y="$y $i/task/[0-9]*/environ"; fi
  if [ "$4" = "$s" ]; then m="$m $q"; fi
done
for i in $(holders /proc/[0-9]*/environ $y); do
  q=${i#/proc/}; q=${q%%/*}
  l=
  { IFS= read -r l <"/proc/$q/stat"; } 2>/dev/null
  set -- ${l##*) }
  if dead "$@"; then continue; fi
  case "$m " in *" $q "*) ;; *) m="$m $q" ;; esac
done
}
if printf 'a\0b\0' | grep -qzxF b 2>/dev/null; then
  holders() { grep -lszxF "$k" "$@"; }
else
  holders() {
  for j; do
    if tr '\0' '\n' <"$j" | grep -qxF "$k"; then echo "$j"; fi
  done 2>/dev/null
  }
fi
pause() { sleep 0.1 2>/dev/null || sleep 1; }
if [ "$g" -gt 0 ]; then
  members
  if [ -n "$m" ]; then kill -TERM $m 2>/dev/null; fi
  while members; [ -n "$m" ] && [ "$g" -gt 0 ]; do pause; g=$((g-1)); done
fi
z=0 t=0
while [ "$z" -lt 2 ] && [ "$t" -lt 50 ]; do
  t=$((t+1))
  members
  if [ -z "$m" ]; then z=$((z+1)); else z=0; kill -KILL $m 2>/dev/null; pause; fi
done
printf '\036rdev:%s:gone:%s\n' "$n" "$m" >&2
`

// killInput is what an exec's standard input carries to end the command of the
// session. With all, the process that the session is named for goes, too.
func killInput(nonce, session, cookie string, tenths int64, all bool) []byte {
	var b strings.Builder
	assign := func(name, value string) { b.WriteString(name + "=" + quote(value) + "\n") }
	assign("n", nonce)
	assign("s", session)
	assign("k", cookieVariable+"="+cookie)
	assign("g", formatInt(tenths))
	if all {
		assign("a", "1")
	} else {
		assign("a", "")
	}
	b.WriteString(killScript + nonce + "\n")
	return []byte(b.String())
}

// quote makes any text one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func isShellName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', i > 0 && '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return name != ""
}
