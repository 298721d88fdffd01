#!/usr/bin/env bash
# Installs the Claude Code CLI that the tests of internal/claudetest run into the
# cache folder, ${RDEV_CACHE:-~/.cache/rdev}, with npm. It is licensed software
# (see LICENSE.md beside it there): it is no part of the project and is never
# committed. The program itself needs no Node.
set -euo pipefail

version=2.1.197
package=@anthropic-ai/claude-code-linux-x64@$version
digest=rIlKmrY0QMyHgPRX/MYWNj039vbypICvI9jVe3rs9Xy2RnNklySjyPxqh62QadznzoftEO23uYQ1tFePcQ//bg==

die() {
	printf 'install.sh: %s\n' "$*" >&2
	exit 1
}

[ "$(uname -sm)" = 'Linux x86_64' ] || die "the tests with Claude Code run on Linux x86_64 alone"
cache=${RDEV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rdev}
dir=$cache/claude-code-$version-linux-x64
if [ -x "$dir/claude" ]; then exit; fi
command -v npm >/dev/null || die "npm is missing; install it: apt-get install -y --no-install-recommends npm"

mkdir -p "$cache"
partial=$(mktemp -d "$cache/claude-code.XXXXXX")
trap 'rm -rf "$partial"' EXIT
printf '==> fetching %s (75 MB)\n' "$package"
(cd "$partial" && npm pack --silent --ignore-scripts "$package" >/dev/null)
[ "$(cat "$partial"/*.tgz | openssl dgst -sha512 -binary | base64 -w0)" = "$digest" ] || die "$package is not what it was: its digest has changed"
mkdir "$partial/dir"
tar -xzf "$partial"/*.tgz -C "$partial/dir" --strip-components=1
mv -T "$partial/dir" "$dir" 2>/dev/null || [ -x "$dir/claude" ]
