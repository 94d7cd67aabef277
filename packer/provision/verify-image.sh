#!/bin/sh
# Checks that a machine, or a mounted image, is fit to be an image. Changes nothing.
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
no_files_in() { # FOLDER WHY [EXCEPT]
  [ -d "$root$1" ] || return 0
  left=$(find "$root$1" -mindepth 1 ! -type d ! -type s ! -path "$root${3:-/no/such}/*" -print -quit)
  [ -z "$left" ] || fault "${left#"$root"} is there: $2"
}

# Packer may be connected through the SSM agent, which then writes until the shutdown. The clean-up
# deletes that afterwards.
ssm_logs=
if [ -z "$root" ] && [ -d /run/systemd/system ] && systemctl is-active --quiet amazon-ssm-agent.service; then
  if systemctl is-active --quiet ecs-node-image-clean.service; then ssm_logs=/var/log/amazon/ssm; fi
fi

# State of the build instance.
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
if [ -z "$root" ] && [ -d /run/systemd/system ] && systemctl is-active --quiet systemd-random-seed.service; then
  fault 'systemd-random-seed.service is active: it saves a seed when the machine is switched off'
fi
for key in "$root"/etc/ssh/ssh_host_*; do
  [ ! -e "$key" ] || fault "${key#"$root"} is there: all nodes would share one SSH identity"
done
for home in "$root/root" "$root"/home/*; do
  for name in .ssh/authorized_keys .ssh/authorized_keys2 .aws/credentials .docker/config.json .bash_history .zsh_history; do
    [ ! -e "$home/$name" ] || fault "${home#"$root"}/$name is there: keys and history of the person who built the image"
  done
done
no_files_in /var/log 'logs of the build instance' "$ssm_logs"
no_files_in /var/tmp 'left behind'
[ -n "$ssm_logs" ] || no_files_in /var/lib/amazon/ssm "the build instance's Systems Manager identity"
if [ -d "$root/tmp" ]; then
  left=$(find "$root/tmp" -mindepth 1 -maxdepth 1 ! -path "$0" ! -name 'systemd-private-*' ! -type s ! -name '.*-unix' -print -quit)
  [ -z "$left" ] || fault "${left#"$root"} is there: left behind"
fi

# The needs of a node.
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
# The bootstrap starts ecs where it is only disabled. A unit that is masked in /etc stays dead on
# every node.
for unit in ecs.service docker.service amazon-ssm-agent.service; do
  [ "$(readlink "$root/etc/systemd/system/$unit" || true)" != /dev/null ] ||
    fault "$unit is masked: no node made from this image could start it; run \"systemctl unmask $unit\""
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
