#!/bin/sh
# Builds the Packer and the amazon plugin that the template pins, from the Go module proxy, into a
# cache folder.
#
# usage: packer/get-packer.sh [FOLDER]      (default ~/.cache/ecs-node/packer)
#
# Prints the folder to put on PATH.
#
# This is for machines that have Go but no HashiCorp package source.
# Where there is one, install Packer from it and run `packer init packer/`.
set -eu

packer_version=v1.16.0
amazon_version=v1.8.2
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ecs-node/packer}
stamp="packer $packer_version amazon $amazon_version"

if [ "$(cat "$folder/stamp" 2>/dev/null || true)" = "$stamp" ]; then
  echo "$folder/bin"
  exit 0
fi
command -v go >/dev/null || {
  echo "get-packer.sh: needs Go 1.25 or newer; or install Packer ${packer_version#v} another way and put it on PATH" >&2
  exit 69
}

# Both modules have replace directives, which `go install module@version` refuses. So each is built
# from a small module that requires the one version and repeats its replace lines.
build() { # MODULE VERSION
  name=${1##*/}
  mkdir -p "$folder/src/$name"
  cd "$folder/src/$name"
  GOFLAGS=-mod=mod GOWORK=off go mod download -json "$1@$2" >download.json
  upstream=$(sed -n 's/^[[:space:]]*"GoMod": "\(.*\)",*$/\1/p' download.json)
  {
    echo "module build/$name"
    grep '^go ' "$upstream"
    echo "require $1 $2"
    grep '^replace ' "$upstream" || true
  } >go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$1" >tools.go
  mkdir -p "$folder/bin"
  GOFLAGS='-mod=mod -buildvcs=false' GOWORK=off CGO_ENABLED=0 go build -p 2 -ldflags '-s -w' -o "$folder/bin/$name" "$1"
}

build github.com/hashicorp/packer "$packer_version" >&2
build github.com/hashicorp/packer-plugin-amazon "$amazon_version" >&2

# The plugin is installed where `packer init` would put it, below PACKER_PLUGIN_PATH.
PACKER_PLUGIN_PATH=$folder/plugins "$folder/bin/packer" plugins install \
  --path "$folder/bin/packer-plugin-amazon" github.com/hashicorp/amazon >&2
rm -f "$folder/bin/packer-plugin-amazon"
echo "$stamp" >"$folder/stamp"
echo "$folder/bin"
