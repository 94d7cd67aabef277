#!/bin/sh
# Tests the contents of a machine, or a mounted image, of which an image is about to be made. Changes nothing.
#
# usage: verify-image.sh [VERSION]             this machine, as root
#        ROOT=/mnt/image verify-image.sh [VERSION]
#
# Prints every fault and exits 1 when there is one.
set -eu

version=${1:-}
root=${ROOT:-}
root=${root%/}
faults=0

fault() {
  echo "verify-image.sh: $1" >&2
  faults=$((faults + 1))
}
absent() { # PATH WHY
  if [ -e "$root$1" ] || [ -L "$root$1" ]; then fault "$1 is there: $2"; fi
}
no_files_in() { # FOLDER WHY
  [ -d "$root$1" ] || return 0
  left=$(find "$root$1" -mindepth 1 ! -type d ! -type s -print -quit)
  [ -z "$left" ] || fault "${left#"$root"} is there: $2"
}

# What must not be in the image.
no_files_in /var/lib/ecs-node 'state of the build instance'
no_files_in /var/lib/ecs/data "checkpoint of the build instance's ECS agent; no node made from this image could register"
absent /var/lib/docker/engine-id "the build instance's Docker identity"
if grep -qs '^[[:space:]]*ECS_CLUSTER=' "$root/etc/ecs/ecs.config"; then
  fault '/etc/ecs/ecs.config names a cluster: nodes would join it whatever their configuration says'
fi
absent /etc/chef/ohai/hints/ec2.json 'the bootstrap of the build instance wrote it'
absent /var/lib/cloud/instance 'cloud-init would not take the first boot for the first one: user data would not run'
no_files_in /var/lib/cloud/instances "the build instance's user data"
no_files_in /var/lib/cloud/sem 'marks of what cloud-init has done already'
if [ -s "$root/etc/machine-id" ] && [ "$(cat "$root/etc/machine-id")" != uninitialized ]; then
  fault '/etc/machine-id is not empty: all nodes would be one machine to systemd, DHCP and the journal'
fi
if [ -f "$root/var/lib/dbus/machine-id" ] && [ ! -L "$root/var/lib/dbus/machine-id" ]; then
  fault "/var/lib/dbus/machine-id is there: the build instance's id"
fi
absent /var/lib/systemd/random-seed 'all nodes would begin with the same randomness'
for key in "$root"/etc/ssh/ssh_host_*; do
  [ ! -e "$key" ] || fault "${key#"$root"} is there: all nodes would share one SSH identity"
done
for home in "$root/root" "$root"/home/*; do
  for name in .ssh/authorized_keys .ssh/authorized_keys2 .aws/credentials .bash_history .zsh_history; do
    [ ! -e "$home/$name" ] || fault "${home#"$root"}/$name is there: keys and history of whoever built the image"
  done
done
no_files_in /var/log 'logs of the build instance'
no_files_in /var/tmp 'left behind'
no_files_in /var/lib/amazon/ssm "the build instance's Systems Manager identity"
if [ -d "$root/tmp" ]; then
  left=$(find "$root/tmp" -mindepth 1 -maxdepth 1 ! -path "$0" ! -name 'systemd-private-*' ! -type s ! -name '.*-unix' -print -quit)
  [ -z "$left" ] || fault "${left#"$root"} is there: left behind"
fi

# What must be.
binary=$root/usr/bin/ecs-node
if [ ! -x "$binary" ]; then
  fault '/usr/bin/ecs-node is missing or not executable'
elif [ -n "$version" ]; then
  found=$("$binary" --version 2>&1) || fault "/usr/bin/ecs-node does not run: $found"
  case " $found " in *" $version "*) ;; *) fault "/usr/bin/ecs-node is $found, expected $version" ;; esac
fi
for unit in ecs-node-bootstrap.service ecs-node.service; do
  [ -f "$root/usr/lib/systemd/system/$unit" ] || fault "/usr/lib/systemd/system/$unit is missing"
  state=$(systemctl --root="${root:-/}" is-enabled "$unit" 2>&1) || true
  [ "$state" = enabled ] || fault "$unit is $state, not enabled: run \"systemctl enable $unit\""
done
dropin=/usr/lib/systemd/system/ecs.service.d/10-ecs-node.conf
grep -qs '^Requires=ecs-node-bootstrap.service' "$root$dropin" ||
  fault "$dropin is missing or does not require the bootstrap: a node that failed it would join the cluster \"default\""
grep -qs '^enable ecs-node.service' "$root/usr/lib/systemd/system-preset/80-ecs-node.preset" ||
  fault 'the preset is missing: Amazon Linux disables what no preset names'

if [ "$faults" -gt 0 ]; then
  echo "verify-image.sh: $faults faults; no image may be made of this" >&2
  exit 1
fi
echo 'verified: fit to be an image'
