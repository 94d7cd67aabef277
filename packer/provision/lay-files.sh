#!/bin/sh
# Puts the builder's own files (variable "files" of the template) into the image.
#
# usage: lay-files.sh      as root; unpacks /tmp/ecs-node-files.tar over /
set -eu

archive=/tmp/ecs-node-files.tar
[ "$(id -u)" = 0 ] || {
  echo 'lay-files.sh: must run as root' >&2
  exit 77
}

# All files belong to root, and nobody else may write to them, whatever the builder's machine says.
# Folders that exist keep their mode, and a link such as /lib -> /usr/lib stays a link.
umask 022
tar --extract --file "$archive" --directory / --no-same-owner --no-same-permissions --no-overwrite-dir --keep-directory-symlink
# SELinux labels a file by where it was made. A daemon may not read its configuration under a wrong
# label.
if command -v restorecon >/dev/null; then
  tar --list --file "$archive" | sed -n 's|^\./\(.*[^/]\)$|/\1|p' | while IFS= read -r path; do restorecon -F "$path" || true; done
fi
rm -f "$archive"
# Units and drop-ins may be among the files.
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
