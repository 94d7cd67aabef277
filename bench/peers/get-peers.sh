#!/bin/sh
# Builds the peers that the benchmark measures beside ecs-node. It fetches their public modules
# through Go's module proxy and builds into a cache folder.
#
# usage: bench/peers/get-peers.sh [FOLDER]      (default ~/.cache/ecs-node/peers)
#
# Prints one line for each peer, with tabs between: NAME, VERSION, FILE; or NAME, -, and the reason
# why it is missing. If a peer cannot be built, the script takes it from PATH.
set -eu

folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ecs-node/peers}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# Prints the folder of a module's source. Go verifies the checksum; on a failure the JSON holds the
# message.
download() { # MODULE VERSION
  answer=$(GOFLAGS='' GOWORK=off go mod download -json "$1@$2") || {
    printf '%s\n' "$answer" | sed -n 's/\\n\\t/: /g; s/^\t"Error": "\(.*\)"$/\1/p' >&2
    return 1
  }
  printf '%s\n' "$answer" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

# Builds in a copy of the module, not with `go install`: Go honours `replace` lines only in the main
# module, and its go.sum then holds the dependencies that the authors chose.
build() { # NAME MODULE VERSION PACKAGE TAGS
  source=$(download "$2" "$3")
  work="$folder/source-$1"
  rm -rf "$work"
  cp -R "$source" "$work"
  chmod -R u+w "$work"
  (
    cd "$work"
    GOFLAGS='-mod=mod -buildvcs=false' GOWORK=off CGO_ENABLED=0 nice -n 10 \
      go build -p 1 -trimpath -tags "$5" -ldflags '-s -w' -o "$folder/$1.new" "$4"
  )
  rm -rf "$work"
  mv "$folder/$1.new" "$folder/$1"
  echo "$3" >"$folder/$1.version"
}

offer() { # NAME MODULE VERSION PACKAGE TAGS
  if [ "$(cat "$folder/$1.version" 2>/dev/null || true)" != "$3" ]; then
    if ! command -v go >/dev/null; then
      echo 'Go is not on PATH' >"$folder/$1.log"
    # Not as a condition of `if`: there the shell ignores `set -e` and would skip a failed step.
    else
      set +e
      (set -e && build "$@") >"$folder/$1.log" 2>&1
      set -e
    fi
  fi
  if [ "$(cat "$folder/$1.version" 2>/dev/null || true)" = "$3" ]; then
    printf '%s\t%s\t%s\n' "$1" "$3" "$folder/$1"
  elif command -v "$1" >/dev/null; then
    printf '%s\tfrom PATH\t%s\n' "$1" "$(command -v "$1")"
  else
    printf '%s\t-\t%s\n' "$1" "$2@$3: $(reason "$1")"
  fi
}

# Says why a program is not measured: either its module cannot be fetched, or the benchmark does not
# yet know how to run it.
consult() { # NAME MODULE VERSION
  if ! command -v go >/dev/null; then
    echo 'Go is not on PATH' >"$folder/$1.log"
  elif download "$2" "$3" >/dev/null 2>"$folder/$1.log"; then
    echo 'its module is to be had, but bench/peers/sides.ts does not know how to run it' >"$folder/$1.log"
  fi
  printf '%s\t-\t%s\n' "$1" "$2@$3: $(reason "$1")"
}

# Prints Go's last message, without the address of the proxy.
reason() { # NAME
  grep -v '^go: downloading' "$folder/$1.log" | tail -n 1 | sed 's/.*https:[^ ]*: //' | tr '\t' ' '
}

# Go knows v3 only by its commit, because the module path lacks /v3. This commit is v3.6.0.
offer lifecycled github.com/buildkite/lifecycled v1.1.4-0.20260611093023-150080566b59 ./cmd/lifecycled ''
offer node-termination-handler github.com/aws/aws-node-termination-handler v1.25.6 ./cmd nthlinux
consult amazon-cloudwatch-agent github.com/aws/amazon-cloudwatch-agent v1.300071.0
