#!/bin/bash
# A build instance that boots, and an AWS that has it: runs a command between them and leaves nothing behind.
#
# usage: unshare --mount --net --pid --fork --kill-child world.sh BASE FOLDER COMMAND…
#
# BASE is a Debian root with an SSH server; FOLDER is empty and stays after us, with the console, moto's log and root/.
# Every address is local to this network namespace: whichever one moto gives to an instance, our machine answers there.
set -euo pipefail
base=$1 folder=$2
shift 2

mount --make-rprivate /
mount -t proc proc /proc
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
ip addr add 169.254.0.1/32 dev lo

mkdir -p "$folder"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
root=$folder/root

# A user as Amazon's, whose key EC2 would have put in place: the machine takes the key that Packer made for this build.
chroot "$root" useradd --create-home --shell /bin/bash ec2-user
echo 'ec2-user ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/ec2-user"
chmod 0440 "$root/etc/sudoers.d/ec2-user"
mkdir -p "$root/etc/ssh/sshd_config.d"
printf 'AuthorizedKeysCommand /usr/bin/echo %%t %%k\nAuthorizedKeysCommandUser nobody\nUseDNS no\n' >"$root/etc/ssh/sshd_config.d/packer.conf"
touch "$root/etc/cloud/cloud-init.disabled"
chroot "$root" ssh-keygen -A >/dev/null

# It has lived: what one finds on a build instance of Amazon's image, and what careless people leave.
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
leave /var/log/messages
leave /var/log/amazon/ssm/amazon-ssm-agent.log
leave /var/lib/amazon/ssm/Vault/Store/RegistrationKey
leave /var/tmp/junk
leave /etc/hostname ip-10-0-0-1
leave /var/lib/docker/engine-id

systemd-nspawn --quiet --boot --directory="$root" --machine="packer-$(basename "$folder")" --register=no --keep-unit \
  --network-namespace-path=/proc/self/ns/net --link-journal=no --console=read-only --resolv-conf=off --timezone=off \
  >"$folder/console" 2>&1 &
moto_server --host 127.0.0.1 --port 5000 >"$folder/moto.log" 2>&1 &

wait_for() { # PORT
  for _ in $(seq 300); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "nobody listens on port $1 after 30 s" >&2
  tail -n 20 "$folder/console" "$folder/moto.log" >&2
  exit 70
}
wait_for 5000
wait_for 22

export AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_ACCESS_KEY_ID=AKIAEXAMPLE AWS_SECRET_ACCESS_KEY=example
export AWS_DEFAULT_REGION=us-east-1 AWS_PAGER="" AWS_EC2_METADATA_DISABLED=true
status=0
"$@" || status=$?

# What an outsider finds in the image, before the namespace takes the mount with it.
poweroff() { nsenter --target "$(pgrep --oldest --parent "$(jobs -p | head -1)")" --all systemctl poweroff 2>/dev/null || true; }
poweroff
wait "$(jobs -p | head -1)" 2>/dev/null || true
ROOT=$root sh "$(dirname "$0")/../../../packer/provision/verify-image.sh" >"$folder/verified" 2>&1 || true
exit "$status"
