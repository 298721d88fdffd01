#!/usr/bin/env bash
# Runs the tests under the race detector. What they need and this machine lacks
# is installed where that is possible (root, apt), else named.
#
#   ./test.sh                          everything
#   ./test.sh ./exec/... -run Cancel   packages and flags go to go test
#
# Environment: CI=true forbids skips and cached results. RDEV_TEST_PARALLEL is
# how many packages run at once (default 2: many tests watch the clock).
# RDEV_TEST_DATABASE_URL and RDEV_TEST_KUBECONFIG name servers to use instead
# of own ones.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '==> %s\n' "$*"; }
die() {
	printf 'test.sh: %s\n' "$*" >&2
	exit 1
}

# Postgres' programs are not in Debian's PATH.
postgres_installed() {
	command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
		[ -x "$(pg_config --bindir 2>/dev/null)/initdb" ]
}

# Debian starts the services it installs; while this file is there, it does not.
policy=/usr/sbin/policy-rc.d
apt_get() {
	local made=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		made=yes
	fi
	local status=0
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 || status=$?
	if [ -n "$made" ]; then rm -f $policy; fi
	return $status
}

install() {
	local command="apt-get install -y --no-install-recommends $*"
	command -v apt-get >/dev/null || die "missing: $* (Debian's names); install them with your package manager"
	[ "$(id -u)" = 0 ] || die "missing: $*; install them: sudo $command"
	say "installing $*"
	# The package lists may be absent or old: fetch them only then.
	if ! apt_get install -y --no-install-recommends "$@"; then
		apt_get update && apt_get install -y --no-install-recommends "$@" || {
			cat "$log" >&2
			die "could not install; try: apt-get update && $command"
		}
	fi
}

command -v go >/dev/null || die "go is missing; install it: https://go.dev/dl/"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Arguments that look like packages are packages; the others are flags.
patterns=() flags=()
for arg in "$@"; do
	case $arg in
	. | ./* | ../* | github.com/*) patterns+=("$arg") ;;
	*) flags+=("$arg") ;;
	esac
done
[ ${#patterns[@]} -gt 0 ] || patterns=(./...)

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need git git
need make make
need curl curl
if [ "$(uname)" = Linux ]; then
	need setsid util-linux
	need ps procps
	need busybox busybox
	# The race detector needs cgo, and cgo a compiler with the C library's headers.
	need gcc gcc
	if command -v gcc >/dev/null && ! echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1; then missing+=(libc6-dev); fi
	if ! command -v gcc >/dev/null; then missing+=(libc6-dev); fi
fi
dependencies=$(go list -e -deps -test "${patterns[@]}")
if [ -z "${RDEV_TEST_DATABASE_URL:-}" ] && grep -q internal/pgtest <<<"$dependencies"; then
	postgres_installed || missing+=(postgresql)
fi
if grep -q store/postgres <<<"$dependencies"; then
	[ -x /usr/sbin/pgbouncer ] || need pgbouncer pgbouncer
fi
if grep -q internal/tstest <<<"$dependencies"; then
	need node nodejs
	need npm npm
fi
# What internal/walktest drives, a module of its own.
if [ "${patterns[*]}" = ./... ] && [ "$(uname)" = Linux ]; then
	need chromium chromium
	need promtool prometheus
	[ -x /usr/sbin/nginx ] || need nginx nginx
fi
claude=
if grep -q internal/claudetest <<<"$dependencies" && [ "$(uname -sm)" = 'Linux x86_64' ]; then
	claude=yes
	need openssl openssl
	[ -x "${RDEV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rdev}/claude-code-2.1.197-linux-x64/claude" ] || need npm npm
fi
if [ ${#missing[@]} -gt 0 ]; then install "${missing[@]}"; fi
# Licensed software, which stays in the cache; see the script.
[ -z "$claude" ] || internal/claudetest/install.sh

# The tests with a cluster run by themselves, one package after the other: a
# cluster is four servers, and wants the machine.
clustered='{{range .TestImports}}{{.}} {{end}}{{range .XTestImports}}{{.}} {{end}}'
packages=() heavy=()
while read -r package imports; do
	case "$package $imports" in
	*internal/kubetest*) heavy+=("$package") ;;
	*) packages+=("$package") ;;
	esac
done < <(go list -e -f "{{.ImportPath}} $clustered" "${patterns[@]}")
if [ ${#heavy[@]} -gt 0 ] && [ -z "${RDEV_TEST_KUBECONFIG:-}" ]; then
	say "preparing a cluster (minutes the first time, then cached)"
	go run ./internal/kubetest/cmd/cluster -prepare
fi

report=()
common=(-race -timeout 20m)
if [ "${CI:-}" = true ]; then
	common+=(-count 1)
	report+=(-forbid-skips)
fi
case " ${flags[*]-} " in *" -v "*) report+=(-v) ;; esac

failed=
run() { # packages at once, folder, packages…
	local parallel=$1 folder=$2
	shift 2
	say "go test ${common[*]} -p $parallel ${flags[*]-} ($# packages)"
	CGO_ENABLED=1 go test -C "$folder" -json -p "$parallel" "${common[@]}" ${flags[@]+"${flags[@]}"} "$@" </dev/null |
		go run ./internal/testlog ${report[@]+"${report[@]}"} || failed=yes
}

if [ ${#packages[@]} -gt 0 ]; then run "${RDEV_TEST_PARALLEL:-2}" . "${packages[@]}"; fi
if [ ${#heavy[@]} -gt 0 ]; then run 1 . "${heavy[@]}"; fi

# Modules of their own keep their dependencies out of the SDK's. Those that have
# tests are part of everything.
if [ "${patterns[*]}" = ./... ]; then
	for mod in $(git ls-files --cached --others --exclude-standard '*/go.mod'); do
		folder=$(dirname "$mod")
		if [ -n "$(git ls-files --cached --others --exclude-standard "$folder/*_test.go")" ]; then
			run "${RDEV_TEST_PARALLEL:-2}" "$folder" ./...
		fi
	done
fi

[ -z "$failed" ] || die "some tests failed"
say "all tests passed"
