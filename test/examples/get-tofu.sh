#!/bin/sh
# Builds OpenTofu and hcl2json from the Go module proxy into a cache folder. hcl2json prints what
# HashiCorp's parser reads.
#
# usage: test/examples/get-tofu.sh [FOLDER]
#  (default ~/.cache/ecs-node/tofu; prints the folder to put on PATH)
set -eu

tofu=github.com/opentofu/opentofu
tofu_version=v1.12.6
hcl2json=github.com/tmccombs/hcl2json
hcl2json_version=v0.6.9
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ecs-node/tofu}
stamp="tofu $tofu_version hcl2json $hcl2json_version"

if [ "$(cat "$folder/stamp" 2>/dev/null || true)" = "$stamp" ]; then
  echo "$folder/bin"
  exit 0
fi
command -v go >/dev/null || {
  echo "get-tofu.sh: needs Go 1.25 or newer on PATH" >&2
  exit 69
}

# OpenTofu has replace directives, which `go install module@version` refuses. So each is built from
# a small module that requires the one version and repeats its replace lines.
build() { # MODULE VERSION PACKAGE
  name=${3##*/}
  mkdir -p "$folder/source/$name"
  cd "$folder/source/$name"
  GOFLAGS=-mod=mod GOWORK=off go mod download -json "$1@$2" >download.json
  upstream=$(sed -n 's/^[[:space:]]*"GoMod": "\(.*\)",*$/\1/p' download.json)
  {
    echo "module build/$name"
    grep '^go ' "$upstream"
    echo "require $1 $2"
    grep '^replace ' "$upstream" || true
  } >go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$3" >tools.go
  GOFLAGS='-mod=mod -buildvcs=false' GOWORK=off CGO_ENABLED=0 \
    go build -p 2 -ldflags '-s -w' -o "$folder/bin/$name" "$3"
}

build "$hcl2json" "$hcl2json_version" "$hcl2json" >&2
build "$tofu" "$tofu_version" "$tofu/cmd/tofu" >&2
echo "$stamp" >"$folder/stamp"
echo "$folder/bin"
