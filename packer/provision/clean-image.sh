#!/bin/sh
# Removes from a machine, or a mounted image, everything that belongs to one instance only.
#
# usage: clean-image.sh [UNIT…]      this machine, as root, just before an image is made of it
#        ROOT=/mnt/image clean-image.sh
#
# UNITs carry Packer's own connection and keep running, for example amazon-ssm-agent.service. After
# this the machine is not fit to live on: it has no SSH host keys and no authorized keys. Can be
# repeated.
#
# Three steps, in this order, because a program that runs later writes again what was deleted:
#   1. the package manager cleans up, which writes its logs
#   2. every daemon that nobody needs any more is stopped, which makes it write its state
#   3. the files are deleted
# A unit in /run repeats step 3 when the machine is switched off, after the last daemon has stopped.
set -eu

root=${ROOT:-}
root=${root%/}
[ -n "$root" ] || [ "$(id -u)" = 0 ] || {
  echo 'clean-image.sh: must run as root' >&2
  exit 77
}

main() {
  if [ -z "$root" ] && [ "${DELETE_ONLY:-}" != yes ]; then
    clean_packages
    if [ -d /run/systemd/system ]; then
      stop_daemons "$@"
      delete_again_at_shutdown
    fi
  fi
  delete_identities
  delete_keys
  delete_logs
  sync
  echo 'clean: nothing of this instance is left'
}

# Even "dnf clean" writes /var/log/dnf.log and two more.
clean_packages() {
  if command -v dnf >/dev/null; then dnf clean all --quiet || true; fi
  # The containers of the build instance. Images stay.
  if command -v docker >/dev/null && docker info >/dev/null 2>&1; then docker container prune --force >/dev/null; fi
}

# The machine itself, its network and Packer's connection need these. A daemon that a script of the
# builder installed has a name that we cannot know, so the list says what stays and not what goes.
is_needed() { # UNIT KEPT…
  needed=$1
  shift
  case $needed in
    # Both write their state when they stop; the seed is otherwise saved at each shutdown, and all
    # nodes would share it.
    systemd-timesyncd.service | systemd-random-seed.service) return 1 ;;
    systemd-* | dbus* | sshd* | ssh.* | ssh@* | user@* | user-runtime-dir@* | getty@* | serial-getty@* | console-getty.*) return 0 ;;
    # The ACPI daemon hears EC2's power button.
    NetworkManager* | wpa_supplicant.* | dhc* | acpid.* | polkit.* | ecs-node-image-*) return 0 ;;
  esac
  for kept in "$@"; do [ "$needed" != "$kept" ] || return 0; done
  return 1
}

# Timers, sockets and paths first: they would start a service again.
stop_daemons() { # KEPT…
  for kinds in timer,socket,path service; do
    writers=
    for unit in $(list_active "$kinds"); do is_needed "$unit" "$@" || writers="$writers $unit"; done
    # shellcheck disable=SC2086 # A list of unit names.
    [ -z "$writers" ] || systemctl stop $writers 2>/dev/null || end_stubborn $writers
  done
  # It is "exited", not "running", and saves the seed when it stops.
  systemctl stop systemd-random-seed.service 2>/dev/null || true
  # From here on the journal is in memory, so that the shutdown writes nothing into the image.
  journalctl --relinquish-var 2>/dev/null || true
}

# A service that has done its work and "exited" stays: to stop it can undo the work, such as the
# routes of the network.
list_active() { # KINDS
  case $1 in
    service) systemctl list-units --plain --no-legend --type=service --state=running,activating,reloading ;;
    *) systemctl list-units --plain --no-legend --type="$1" --state=active ;;
  esac | awk '{ print $1 }'
}

# auditd refuses "systemctl stop", and obeys the signal.
end_stubborn() { # UNIT…
  for unit in "$@"; do
    ! systemctl is-active --quiet "$unit" || systemctl kill "$unit" 2>/dev/null || true
  done
  # Ten seconds: a daemon that takes longer is stopped by the shutdown, and its files are deleted
  # then.
  for unit in "$@"; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      systemctl is-active --quiet "$unit" || continue 2
      sleep 1
    done
    echo "clean-image.sh: $unit still runs; what it writes is deleted again at the shutdown" >&2
  done
}

# Ordered before everything that daemons are ordered after, so it stops after them. Gone with /run
# when the machine is off.
delete_again_at_shutdown() {
  mkdir -p /run/ecs-node-image
  [ "$0" = /run/ecs-node-image/clean-image.sh ] || cp "$0" /run/ecs-node-image/clean-image.sh
  cat >/run/systemd/system/ecs-node-image-clean.service <<'UNIT'
[Unit]
Description=Delete once more what daemons wrote while they stopped
DefaultDependencies=no
RequiresMountsFor=/var /etc /root /home
After=local-fs.target
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sh /run/ecs-node-image/clean-image.sh
Environment=DELETE_ONLY=yes
UNIT
  systemctl daemon-reload
  systemctl start ecs-node-image-clean.service
}

# Removes everything in a folder, hidden files too; the folder keeps its mode, owner and SELinux
# label.
empty() {
  for folder in "$@"; do
    [ ! -d "$root$folder" ] || find "$root$folder" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  done
}
drop() {
  for path in "$@"; do rm -rf "$root$path"; done
}

delete_identities() {
  # ecs-node's state, and that of the ECS agent, which refuses to register with another instance's
  # checkpoint.
  drop /var/lib/ecs-node /run/ecs-node
  empty /var/lib/ecs/data
  drop /etc/chef/ohai/hints/ec2.json
  if [ -f "$root/etc/ecs/ecs.config" ]; then sed -i '/^[[:space:]]*ECS_CLUSTER=/d' "$root/etc/ecs/ecs.config"; fi
  # Docker makes a new identity at its next start.
  drop /var/lib/docker/engine-id /etc/docker/key.json

  # cloud-init must take the next boot for the first one. Scripts and seeds that were baked on
  # purpose stay.
  for name in instance instances data sem handlers; do drop "/var/lib/cloud/$name"; done
  drop /run/cloud-init

  # Empty and not absent: after "absent" systemd applies presets, and undoes what was enabled on
  # purpose.
  if [ -e "$root/etc/machine-id" ]; then : >"$root/etc/machine-id"; fi
  if [ ! -L "$root/var/lib/dbus/machine-id" ]; then drop /var/lib/dbus/machine-id; fi
  drop /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/systemd/timesync/clock
  drop /etc/hostname
  empty /var/lib/dhclient /var/lib/dhcp /var/lib/NetworkManager /var/lib/chrony /var/lib/rsyslog
  empty /var/lib/amazon/ssm
  # It names the accounts that ran dnf, and their commands.
  for file in "$root"/var/lib/dnf/history.sqlite*; do rm -f "$file"; done
}

# sshd makes new host keys; cloud-init installs the new instance's key.
delete_keys() {
  for key in "$root"/etc/ssh/ssh_host_*; do rm -f "$key"; done
  for home in "$root/root" "$root"/home/*; do
    [ -d "$home" ] || continue
    for name in .ssh .aws .docker .cache; do rm -rf "${home:?}/$name"; done
    for name in .bash_history .sh_history .zsh_history .python_history .lesshst .viminfo .wget-hsts .sudo_as_admin_successful; do
      rm -f "$home/$name"
    done
  done
  drop /var/lib/sudo /var/db/sudo
}

# Folders of logs stay, since daemons do not make them again.
delete_logs() {
  empty /var/log/journal /var/log/amazon/ssm /var/log/ecs /var/log/sa
  if [ -d "$root/var/log" ]; then find "$root/var/log" ! -type d ! -type s -exec rm -f {} +; fi
  empty /var/cache/dnf /var/cache/yum
  empty /var/tmp
  # Packer runs this very file from /tmp and removes it itself. systemd's private folders are in
  # use until the shutdown.
  if [ -d "$root/tmp" ]; then
    find "$root/tmp" -mindepth 1 -maxdepth 1 ! -path "$0" ! -name 'systemd-private-*' -exec rm -rf {} +
  fi
}

main "$@"
