#!/bin/sh
# Unpacks a release and installs it on this machine.
#
# usage: install-release.sh ARCHIVE [VERSION]      (as root)
#
# With VERSION, the installed binary must say that it has this version.
set -eu

archive=${1:?usage: install-release.sh ARCHIVE [VERSION]}
version=${2:-}

fail() {
  echo "install-release.sh: $1" >&2
  exit "${2:-1}"
}
[ "$(id -u)" = 0 ] || fail 'must run as root' 77
[ -f "$archive" ] || fail "there is no $archive" 66

# On a fresh machine cloud-init may still hold the package manager's lock and rewrite files. Its
# exit code tells how its own work went (2: with warnings), which does not matter here.
if command -v cloud-init >/dev/null && [ -d /run/cloud-init ]; then cloud-init status --wait >/dev/null || true; fi

# The ECS-optimized image is made from Amazon Linux's minimal one, which promises neither tool.
if ! command -v tar >/dev/null || ! command -v xz >/dev/null; then
  command -v dnf >/dev/null || fail 'needs tar and xz, and there is no dnf to install them with' 69
  dnf install -y --quiet tar xz
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar --extract --xz --no-same-owner --file "$archive" --directory "$folder"
script=$(find "$folder" -maxdepth 2 -name install-files.sh -print -quit)
[ -n "$script" ] || fail "$archive is no release of ecs-node: it has no install-files.sh" 65

sh "$script"

found=$(/usr/bin/ecs-node --version) || fail '/usr/bin/ecs-node does not run on this machine: is the archive for its architecture?' 65
case " $found " in *" ${version:-$found} "*) ;; *) fail "installed is $found, expected $version" 65 ;; esac
echo "installed: $found"
