#!/bin/sh
# Builds amazon-ec2-metadata-mock, AWS's own imitation of the metadata service, from the Go module
# proxy into a cache folder.
#
# usage: test/peers/get-metadata-mock.sh [FOLDER]
#  (default ~/.cache/ecs-node/metadata-mock; prints the folder to put on PATH)
set -eu

module=github.com/aws/amazon-ec2-metadata-mock
# v1.13.0 mocks nothing more that a node reads, and some module proxies do not have it.
version=v1.12.0
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ecs-node/metadata-mock}

if [ "$(cat "$folder/stamp" 2>/dev/null || true)" = "$version" ]; then
  echo "$folder/bin"
  exit 0
fi
command -v go >/dev/null || {
  echo "get-metadata-mock.sh: needs Go 1.23 or newer on PATH" >&2
  exit 69
}

# Not `go install`: it would name the program cmd, and would first request a module …/cmd, which
# does not exist.
mkdir -p "$folder/source"
cd "$folder/source"
printf 'module build/metadata-mock\n\ngo 1.23\n\nrequire %s %s\n' "$module" "$version" >go.mod
printf '//go:build tools\n\npackage tools\n\nimport _ "%s/cmd"\n' "$module" >tools.go
GOFLAGS='-mod=mod -buildvcs=false' GOWORK=off CGO_ENABLED=0 \
  go build -p 2 -ldflags '-s -w' -o "$folder/bin/amazon-ec2-metadata-mock" "$module/cmd" >&2
echo "$version" >"$folder/stamp"
echo "$folder/bin"
