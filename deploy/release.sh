#!/usr/bin/env bash
# Builds the binaries of a release into dist/, with their checksums. The same
# commit and the same Go give the same bytes, on any machine.
#
#   deploy/release.sh                      every platform
#   deploy/release.sh linux/amd64 out      one, into another folder
set -euo pipefail
cd "$(dirname "$0")/.."

platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64)
if [ $# -gt 0 ]; then platforms=("$1"); fi
out=${2:-dist}
mkdir -p "$out"

# Nothing of this machine gets into the binary: no paths, no C compiler, no
# settings of its user's environment. `rdev version` says the tag and the commit,
# and whether something was changed since: build a release from a clean clone.
for platform in "${platforms[@]}"; do
	name=rdev-${platform%/*}-${platform#*/}
	env -u GOAMD64 -u GOARM64 -u GOEXPERIMENT GOFLAGS= CGO_ENABLED=0 GOOS="${platform%/*}" GOARCH="${platform#*/}" \
		go build -trimpath -buildvcs=auto -ldflags='-s -w -buildid=' -o "$out/$name" ./cmd/rdev
done

# macOS has shasum instead of sha256sum.
sum=(sha256sum)
command -v sha256sum >/dev/null || sum=(shasum -a 256)
(cd "$out" && "${sum[@]}" rdev-* >SHA256SUMS)
cat "$out/SHA256SUMS"
