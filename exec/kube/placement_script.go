package kube

import (
	"strings"
)

// stateScript looks in all candidates for the state folder $e of this run of the
// container: that is where the shim is, whatever is writable now and whatever
// settings say. The record state:DIR names the folder of ours that it is in, and
// $q does.
const stateScript = `rec() { printf '\036rdev:%s:%s\n' "$n" "$1" >&2; }
u=$(id -u)
q=
for i in $f "${HOME:-}" /tmp /var/tmp /dev/shm; do
  case $i in /*) ;; *) continue ;; esac
  d=${i%/}/.rdev-$u
  if [ -d "$d/$e" ] && [ -O "$d" ] && [ ! -L "$d" ]; then q=$d; rec "state:$d"; break; fi
done
`

// lookScript looks for a state folder, also at $k, where a shim of the image
// has it.
const lookScript = stateScript + `if [ -z "$q" ] && [ -n "$k" ] && [ -d "$k" ]; then rec "state:${k%/*}"; fi
`

// probeScript finds out what a placement needs to know. On stdout, the
// environment that commands inherit; records on stderr:
//
//	machine:…, cwd:…        the architecture, the container's working folder
//	folder:DIR              a folder of ours that can be written and executed in
//	place:…                 why a candidate is no such folder
//	tried:N                 how many candidates there were
//
// $f are the first candidates. A folder of ours is for this user alone: somebody
// else's of the same name is not used.
const probeScript = stateScript + `rec "machine:$(uname -m)"
rec "cwd:$(pwd -P)"
umask 077
k=0
for i in "${q%/.rdev-$u}" $f "${HOME:-}" /tmp /var/tmp /dev/shm; do
  case $i in /*) ;; *) continue ;; esac
  k=$((k + 1))
  if [ "$i" = / ]; then i=; fi
  d=$i/.rdev-$u
  if ! mkdir -p "$d" 2>/dev/null || [ ! -O "$d" ] || [ -L "$d" ]; then rec "place:$i cannot be written to"; continue; fi
  t=$d/probe.$$
  if ! printf '#!/bin/sh\nexit 7\n' >"$t" 2>/dev/null; then rec "place:$i cannot be written to"; continue; fi
  chmod 700 "$t"
  "$t" 2>/dev/null
  c=$?
  rm -f "$t"
  if [ "$c" = 7 ]; then rec "folder:$d"; break; fi
  rec "place:$i does not let programs be executed"
done
rec "tried:$k"
cat /proc/$$/environ
`

// settleScript is the function by which a program that is there makes its state
// folder $e, and deletes what earlier runs of the container have left. Records: "placed" and the name of this run of the container;
// "elsewhere", if it is not the run $o that is wanted, or the folder is another
// run's; "wrong" and what is wrong.
const settleScript = `rec() { printf '\036rdev:%s:%s\n' "$n" "$1" >&2; }
settle() {
  r=$("$d/$b" prepare --dir "$e" --owner "$w" --generation "$g" ${o:+"--origin=$o"} 2>&1 </dev/null)
  case $? in
  0) rec "placed:$r" ;;
  75) rec elsewhere ;;
  *) rec "wrong:$r" ;;
  esac
}
`

// placeScript puts the shim, which follows on standard input, into the folder
// under its name, whole and verified or not at all.
const placeScript = settleScript + `umask 077
t=$d/$b.$$
if ! cat >"$t" 2>/dev/null; then
  rm -f "$t"; rec "wrong:the disk is full"
else
  if command -v sha256sum >/dev/null 2>&1; then
    s=$(sha256sum <"$t"); s=${s%% *}
  else
    s=$h
    if [ "$(wc -c <"$t")" -ne "$z" ]; then s=short; fi
  fi
  if [ "$s" != "$h" ]; then
    rm -f "$t"; rec "wrong:it has the digest $s"
  else
    chmod 700 "$t" && mv -f "$t" "$d/$b" && settle
  fi
fi
`

// checkScript looks for a shim that is there already. Without any record, there
// is none.
const checkScript = settleScript + `if [ -x "$d/$b" ] && [ "$(wc -c <"$d/$b")" -eq "$z" ]; then
  if ! command -v sha256sum >/dev/null 2>&1 || [ "$(sha256sum <"$d/$b")" = "$h  -" ]; then settle; fi
fi
`

// scriptEnd is behind each script that may be run again: it says on both streams
// that all was said, and stays until that has come, because an exec that ends at
// once loses what it wrote last now and then. Where standard input carries data
// ($a is empty), it stays for a moment instead.
const scriptEnd = `printf '\036rdev:%s:done\n' "$n"
printf '\036rdev:%s:done\n' "$n" >&2
if [ -n "$a" ]; then IFS= read -r l; else sleep 0.2 2>/dev/null || sleep 1; fi
`

// scriptInput is what an exec's standard input carries for a script with
// variables: pairs of name and value.
func scriptInput(nonce, script string, data []byte, variables ...string) []byte {
	var b strings.Builder
	b.WriteString("n=" + quote(nonce) + "\na=")
	if data == nil {
		b.WriteString("1")
	}
	b.WriteString("\n")
	for i := 0; i < len(variables); i += 2 {
		b.WriteString(variables[i] + "=" + quote(variables[i+1]) + "\n")
	}
	b.WriteString(script + scriptEnd + nonce + "\n")
	return append([]byte(b.String()), data...)
}
