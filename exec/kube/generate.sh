#!/bin/sh
# Builds the shim that is placed in pods, for each architecture, compressed, in
# the folder binaries. The same source and Go version give the same bytes: with
# -check nothing is written, and it fails if the files are not what it would
# write.
set -eu
cd "$(dirname "$0")"
out=binaries
if [ "${1:-}" = -check ]; then
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
for arch in amd64 arm64; do
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOAMD64=v1 GOARM64=v8.0 GOFLAGS= \
		go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$out/shim" ../shim/cmd/rdev-shim
	gzip -9 -n -c "$out/shim" >"$out/rdev-shim-linux-$arch.gz"
	rm "$out/shim"
	if [ "$out" != binaries ]; then
		cmp "$out/rdev-shim-linux-$arch.gz" "binaries/rdev-shim-linux-$arch.gz"
	fi
done
