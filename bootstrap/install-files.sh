#!/bin/sh
# Installs an unpacked release: binary, units, drop-in, preset, schema, manual pages, completions,
# folders. Enables the units.
#
#   install-files.sh                      on this machine
#   DESTDIR=/mnt/image install-files.sh   into another root (an image, a package under construction)
#   install-files.sh --no-enable          files only: packages enable their units by preset
#
# Reads the files beside it: ecs-node, systemd/, and config.schema.json, man/, completions/, LICENSE
# where they exist. Can be repeated, also to update or to go back. It restarts an agent that runs,
# which goes on from its state on the disk. It starts nothing else.
set -eu

# Every user may read the folders made here, and only root may write to them, whatever the caller's
# umask.
unset IFS CDPATH
umask 022

from=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
root=${root%/}
enable=yes

while [ $# -gt 0 ]; do
  case $1 in
    --no-enable) enable=no ;;
    --from) from=${2:?--from needs a folder}; shift ;;
    *) echo "install-files.sh: unknown option $1 (known: --no-enable, --from DIR)" >&2; exit 64 ;;
  esac
  shift
done

fail() {
  echo "install-files.sh: $1" >&2
  exit "${2:-1}"
}

[ -f "$from/ecs-node" ] || fail "there is no $from/ecs-node: run this from an unpacked release" 66
[ -f "$from/systemd/ecs-node.service" ] || fail "there is no $from/systemd: run this from an unpacked release" 66
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail 'must run as root' 77

# Writes under another name and renames: a running binary cannot be written to, and a crash leaves
# the old file whole.
place() {
  mode=$1 source=$2 target=$root$3
  mkdir -p "$(dirname "$target")"
  cp "$source" "$target.new"
  chmod "$mode" "$target.new"
  [ "$(id -u)" != 0 ] || chown 0:0 "$target.new"
  mv -f "$target.new" "$target"
  placed="$placed $target"
}
placed=

place 0755 "$from/ecs-node" /usr/bin/ecs-node

units=/usr/lib/systemd
for unit in ecs-node-bootstrap.service ecs-node.service ecs.service.d/10-ecs-node.conf; do
  place 0644 "$from/systemd/$unit" "$units/system/$unit"
done
place 0644 "$from/systemd/system-preset/80-ecs-node.preset" "$units/system-preset/80-ecs-node.preset"

optional() {
  [ ! -f "$from/$1" ] || place 0644 "$from/$1" "$2"
}
optional LICENSE /usr/share/licenses/ecs-node/LICENSE
optional THIRD_PARTY_LICENSES /usr/share/licenses/ecs-node/THIRD_PARTY_LICENSES
optional config.schema.json /usr/share/ecs-node/config.schema.json
optional man/ecs-node.8 /usr/share/man/man8/ecs-node.8
optional man/ecs-node.yaml.5 /usr/share/man/man5/ecs-node.yaml.5
optional completions/ecs-node.bash /usr/share/bash-completion/completions/ecs-node
optional completions/ecs-node.zsh /usr/share/zsh/site-functions/_ecs-node
optional completions/ecs-node.fish /usr/share/fish/vendor_completions.d/ecs-node.fish

# Only root may write here: files in hooks.d run as root.
for folder in config.d hooks.d/joined hooks.d/leaving hooks.d/left; do
  mkdir -p "$root/etc/ecs-node/$folder"
done
chmod 0755 "$root/etc/ecs-node" "$root/etc/ecs-node/config.d" "$root/etc/ecs-node/hooks.d" "$root/etc/ecs-node/hooks.d/"*

# A renamed file keeps the SELinux label of the folder in which it was written. systemd may not
# execute a file with the label of user data.
if [ -z "$root" ] && command -v restorecon >/dev/null 2>&1; then
  # shellcheck disable=SC2086 # Our own paths, without spaces when there is no DESTDIR.
  restorecon -F $placed || echo 'install-files.sh: restorecon failed; SELinux may keep ecs-node from running' >&2
fi

if [ "$enable" = yes ]; then
  if [ -n "$root" ]; then
    systemctl --root="$root" enable ecs-node-bootstrap.service ecs-node.service
  else
    systemctl enable ecs-node-bootstrap.service ecs-node.service
  fi
fi
# install.sh writes this before the first installation. It would stop ecs from starting once
# ecs-node is uninstalled.
rm -f "$root/etc/systemd/system/ecs.service.d/05-ecs-node-is-there.conf"
rmdir "$root/etc/systemd/system/ecs.service.d" 2>/dev/null || :

# Skipped in a chroot, where systemd does not run.
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # No wait: the agent is ready only once the metadata service answers.
  systemctl --no-block try-restart ecs-node.service
fi
