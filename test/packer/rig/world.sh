#!/bin/bash
# A build instance that boots, and an AWS that has it. Runs a command between them and leaves
# nothing behind. Then boots a node from the image, and makes an image of that machine, too.
#
# usage: unshare --mount --net --pid --fork --kill-child world.sh BASE FOLDER COMMAND…
#
# BASE is a Debian root with an SSH server and dnf. FOLDER is empty and stays, with the console,
# moto's log and root/. Every address is local to this network namespace, so our machine answers at
# the one that moto gives to an instance.
set -euo pipefail
base=$1 folder=$2
shift 2
rig=$(cd "$(dirname "$0")" && pwd)
provision=$rig/../../../packer/provision

mount --make-rprivate /
mount -t proc proc /proc
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
ip addr add 169.254.0.1/32 dev lo

mkdir -p "$folder"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
root=$folder/root

# Amazon's user. EC2 would put the builder's key in place; this machine accepts the key that Packer
# made for the build.
chroot "$root" useradd --create-home --shell /bin/bash ec2-user
echo 'ec2-user ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/ec2-user"
chmod 0440 "$root/etc/sudoers.d/ec2-user"
mkdir -p "$root/etc/ssh/sshd_config.d"
printf 'AuthorizedKeysCommand /usr/bin/echo %%t %%k\nAuthorizedKeysCommandUser nobody\nUseDNS no\n' >"$root/etc/ssh/sshd_config.d/packer.conf"
touch "$root/etc/cloud/cloud-init.disabled"
chroot "$root" ssh-keygen -A >/dev/null

# The contents of a build instance of Amazon's image, and the leftovers of careless people.
leave() {
  mkdir -p "$root$(dirname "$1")"
  echo "${2:-left}" >"$root$1"
}
leave /var/lib/ecs/data/agent.db
leave /var/lib/ecs-node/bootstrap.json '{"instanceId":"i-0build"}'
leave /etc/ecs/ecs.config $'ECS_CLUSTER=default\nECS_RESERVED_MEMORY=256'
leave /var/lib/cloud/instances/i-0build/user-data.txt
ln -sfn /var/lib/cloud/instances/i-0build "$root/var/lib/cloud/instance"
leave /var/lib/cloud/sem/config_scripts_user.once
leave /home/ec2-user/.ssh/authorized_keys 'ssh-ed25519 AAAA builder'
leave /root/.ssh/authorized_keys 'ssh-ed25519 AAAA builder'
leave /root/.bash_history 'export AWS_SECRET_ACCESS_KEY=…'
leave /root/.aws/credentials
leave /root/.docker/config.json
leave /var/log/messages
leave /var/log/amazon/ssm/amazon-ssm-agent.log
leave /var/lib/amazon/ssm/Vault/Store/RegistrationKey
leave /var/tmp/junk
leave /etc/hostname ip-10-0-0-1
leave /var/lib/docker/engine-id

# Its daemons. The SSM agent's unit is in /etc, as in the package that AWS offers for download.
# auditd refuses to be stopped.
install -m 0755 "$rig/agent.sh" "$root/usr/local/lib/agent"
install -m 0755 "$rig/docker.sh" "$root/usr/bin/docker"
daemon() { # UNIT-FILE COMMAND [LINE…]
  printf '[Unit]\n%s\n[Service]\nExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' "${3:-}" "$2" >"$root$1"
  systemctl --root="$root" --quiet enable "$(basename "$1")"
}
daemon /usr/lib/systemd/system/docker.service '/bin/sleep infinity'
systemctl --root="$root" --quiet disable docker.service
daemon /usr/lib/systemd/system/ecs.service '/usr/local/lib/agent /var/log/ecs/ecs-agent.log /var/lib/ecs/data/agent.db'
daemon /etc/systemd/system/amazon-ssm-agent.service \
  '/usr/local/lib/agent /var/log/amazon/ssm/amazon-ssm-agent.log /var/lib/amazon/ssm/Vault/Store/RegistrationKey'
daemon /usr/lib/systemd/system/auditd.service '/usr/local/lib/agent /var/log/audit/audit.log /var/log/audit/state' RefuseManualStop=yes
# A container has no seed of its own; an instance has.
leave /etc/systemd/system/systemd-random-seed.service.d/instance.conf $'[Unit]\nConditionVirtualization='
# Amazon Linux asks for updates by a timer. Here it does so every few seconds.
printf '[Service]\nType=oneshot\nExecStart=-/usr/bin/dnf --quiet repolist\n' >"$root/usr/lib/systemd/system/dnf-makecache.service"
printf '[Timer]\nOnBootSec=1s\nOnUnitInactiveSec=4s\n[Install]\nWantedBy=timers.target\n' >"$root/usr/lib/systemd/system/dnf-makecache.timer"
systemctl --root="$root" --quiet enable dnf-makecache.timer
mkdir -p "$root/var/log/journal"

boot() {
  systemd-nspawn --quiet --boot --directory="$root" --machine="packer-$(basename "$folder")" --register=no --keep-unit \
    --network-namespace-path=/proc/self/ns/net --link-journal=no --console=read-only --resolv-conf=off --timezone=off \
    >>"$folder/console" 2>&1 &
  machine=$!
}
inside() { nsenter --target "$(pgrep --oldest --parent "$machine")" --all "$@"; }
power_off() {
  inside systemctl poweroff 2>/dev/null || true
  wait "$machine" 2>/dev/null || true
}
wait_for() { # WHAT COMMAND…
  local what=$1
  shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "waited 30 s in vain: $what" >&2
  tail -n 20 "$folder/console" "$folder/moto.log" >&2
  exit 70
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

boot
moto_server --host 127.0.0.1 --port 5000 >"$folder/moto.log" 2>&1 &
wait_for 'moto listens' listens 5000
wait_for 'the build instance listens' listens 22
wait_for 'its agents run' inside systemctl --quiet is-active amazon-ssm-agent.service ecs.service auditd.service

export AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_ACCESS_KEY_ID=AKIAEXAMPLE AWS_SECRET_ACCESS_KEY=example
export AWS_DEFAULT_REGION=us-east-1 AWS_PAGER="" AWS_EC2_METADATA_DISABLED=true
status=0
"$@" || status=$?

# Check the image from outside, once the machine is off.
power_off
ROOT=$root sh "$provision/verify-image.sh" >"$folder/verified" 2>&1 || true
[ "$status" = 0 ] || exit "$status"

# Boot a node from that image: its agents run again.
boot
wait_for "the node's agents run" inside systemctl --quiet is-active amazon-ssm-agent.service fleet-agent.service auditd.service
inside systemctl is-enabled ecs.service amazon-ssm-agent.service fleet-agent.service auditd.service | xargs >"$folder/node-enabled"
inside systemctl show --property=DropInPaths ecs.service >"$folder/node-drop-ins"

# Make an image of that node, as where the source image already has ecs-node, by a Packer that is
# connected through the SSM agent.
again() { # SCRIPT [ARGUMENT…]
  local script=$1
  shift
  inside sh -c "cat >/tmp/$script" <"$provision/$script"
  inside sh "/tmp/$script" "$@"
  inside rm -f "/tmp/$script"
}
{
  again stop-agents.sh amazon-ssm-agent.service && again clean-image.sh amazon-ssm-agent.service && again verify-image.sh
  # Packer's connection is still there.
  inside systemctl is-active amazon-ssm-agent.service
} >"$folder/again" 2>&1 || true
power_off
ROOT=$root sh "$provision/verify-image.sh" >"$folder/verified-again" 2>&1 || true
