#!/bin/sh
# Removes from a machine, or a mounted image, everything that belongs to one instance only.
#
# usage: clean-image.sh              this machine, as root, just before it is made an image of
#        ROOT=/mnt/image clean-image.sh
#
# After this the machine is not fit to live on: no SSH host keys, no authorized keys. Idempotent.
set -eu

root=${ROOT:-}
root=${root%/}
[ -n "$root" ] || [ "$(id -u)" = 0 ] || {
  echo 'clean-image.sh: must run as root' >&2
  exit 77
}

# What is inside a folder, hidden files too; the folder itself keeps its mode, owner and SELinux label.
empty() {
  for folder in "$@"; do
    [ ! -d "$root$folder" ] || find "$root$folder" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  done
}
drop() {
  for path in "$@"; do rm -rf "$root$path"; done
}

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
  # They would write their state again after it was removed. Those that are not installed are no concern.
  for unit in ecs-node.service ecs-node-bootstrap.service ecs.service rsyslog.service chronyd.service; do
    systemctl stop "$unit" 2>/dev/null || true
  done
  # The build machine's containers; the agent's image stays, it saves each node a pull.
  if command -v docker >/dev/null && docker info >/dev/null 2>&1; then docker container prune --force >/dev/null; fi
  systemctl stop docker.socket docker.service containerd.service 2>/dev/null || true
  # From here on the journal lives in memory, so that the shutdown writes nothing into the image.
  journalctl --relinquish-var 2>/dev/null || true
fi

# Our own state, and ECS's: an agent that finds another instance's checkpoint refuses to register.
drop /var/lib/ecs-node /run/ecs-node
empty /var/lib/ecs/data
drop /etc/chef/ohai/hints/ec2.json
if [ -f "$root/etc/ecs/ecs.config" ]; then sed -i '/^[[:space:]]*ECS_CLUSTER=/d' "$root/etc/ecs/ecs.config"; fi
# Docker makes itself a new identity.
drop /var/lib/docker/engine-id /etc/docker/key.json

# cloud-init must take the next boot for the first one. Scripts and seeds that were baked on purpose stay.
for name in instance instances data sem handlers; do drop "/var/lib/cloud/$name"; done
drop /run/cloud-init

# Empty and not absent: absent means "first boot", in which systemd would apply presets over what was enabled on purpose.
if [ -e "$root/etc/machine-id" ]; then : >"$root/etc/machine-id"; fi
if [ ! -L "$root/var/lib/dbus/machine-id" ]; then drop /var/lib/dbus/machine-id; fi
drop /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/systemd/timesync/clock
drop /etc/hostname
empty /var/lib/dhclient /var/lib/dhcp /var/lib/NetworkManager /var/lib/chrony /var/lib/rsyslog
empty /var/lib/amazon/ssm

# Keys and history. sshd makes itself new host keys; cloud-init installs the new instance's key.
for key in "$root"/etc/ssh/ssh_host_*; do [ ! -e "$key" ] || rm -f "$key"; done
for home in "$root/root" "$root"/home/*; do
  [ -d "$home" ] || continue
  rm -rf "$home/.ssh" "$home/.aws" "$home/.cache"
  for name in .bash_history .sh_history .zsh_history .python_history .lesshst .viminfo .wget-hsts .sudo_as_admin_successful; do
    rm -f "$home/$name"
  done
done
drop /var/lib/sudo /var/db/sudo

# Logs: files go or are emptied, folders stay, since daemons do not make them again.
empty /var/log/journal /var/log/amazon/ssm /var/log/ecs /var/log/sa
if [ -d "$root/var/log" ]; then find "$root/var/log" ! -type d ! -type s -exec rm -f {} +; fi

if [ -z "$root" ] && command -v dnf >/dev/null; then dnf clean all --quiet || true; fi
empty /var/cache/dnf /var/cache/yum
empty /var/tmp
# Packer runs this very file from /tmp and removes it itself; systemd's private folders are in use until the shutdown.
if [ -d "$root/tmp" ]; then
  find "$root/tmp" -mindepth 1 -maxdepth 1 ! -path "$0" ! -name 'systemd-private-*' -exec rm -rf {} +
fi
sync
echo 'clean: nothing of this instance is left'
