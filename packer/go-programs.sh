# shellcheck shell=sh
# Builds Go programs from the Go module proxy into a cache folder. For scripts that source it.
# It lies here because packer/ must work alone; test/ may use packer/, not the other way round.
set -eu

# Sets `folder` and `stamp`. If the folder has this stamp, prints where the programs are, and exits.
open_folder() { # NAME STAMP FOLDER (empty: below ~/.cache)
  folder=${3:-${XDG_CACHE_HOME:-$HOME/.cache}/ecs-node/$1}
  stamp=$2
  mkdir -p "$folder"
  # `build` changes the working folder, so a relative path would no longer lead here.
  folder=$(cd "$folder" && pwd)
  if [ "$(cat "$folder/stamp" 2>/dev/null || true)" = "$stamp" ]; then
    echo "$folder/bin"
    exit 0
  fi
  command -v go >/dev/null || {
    echo "${0##*/}: needs Go 1.25 or newer on PATH" >&2
    exit 69
  }
}

# `go install module@version` refuses modules with replace directives, and names a program after the
# last part of its package. So each is built from a small module that requires the one version and
# repeats its replace lines.
build() { # NAME MODULE VERSION PACKAGE
  mkdir -p "$folder/source/$1"
  cd "$folder/source/$1"
  GOFLAGS=-mod=mod GOWORK=off go mod download -json "$2@$3" >download.json
  upstream=$(sed -n 's/^[[:space:]]*"GoMod": "\(.*\)",*$/\1/p' download.json)
  {
    echo "module build/$1"
    grep '^go ' "$upstream"
    echo "require $2 $3"
    grep '^replace ' "$upstream" || true
  } >go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$4" >tools.go
  GOFLAGS='-mod=mod -buildvcs=false' GOWORK=off CGO_ENABLED=0 \
    go build -p 2 -ldflags '-s -w' -o "$folder/bin/$1" "$4" >&2
}

# The stamp comes last: a build that broke off is then repeated.
close_folder() {
  echo "$stamp" >"$folder/stamp"
  echo "$folder/bin"
}
