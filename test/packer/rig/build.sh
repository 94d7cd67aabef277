#!/bin/bash
# Runs between the build instance and AWS (world.sh): tries the package, then builds the image for
# real.
#
# usage: build.sh FOLDER RELEASE RPM
set -euo pipefail
folder=$1 release=$2 rpm=$3
root=$folder/root
rig=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$rig/../../.." && pwd)

# The package on an image under construction, where systemd does not run. Its database must not get
# into the image.
units() { systemctl --root="$root" is-enabled ecs-node-bootstrap.service ecs-node.service 2>/dev/null | xargs || true; }
cp "$rpm" "$root/var/tmp/ecs-node.rpm"
installed() { chroot "$root" rpm --dbpath /var/tmp/rpm "$@"; }
installed -i --nodeps /var/tmp/ecs-node.rpm
units >"$folder/units-installed"
systemctl --root="$root" --quiet disable ecs-node.service
installed -U --force --nodeps /var/tmp/ecs-node.rpm
units >"$folder/units-updated"
installed -e --nodeps ecs-node
find "$root/etc/systemd" "$root/usr/lib/systemd" -name '*ecs-node*' -printf '%P\n' >"$folder/units-removed"

# The check says why this is not fit to be an image.
ROOT=$root sh "$repository/packer/provision/verify-image.sh" >"$folder/unclean" 2>&1 || true

key() { aws kms create-key --region "$1" --query KeyMetadata.Arn --output text; }
cat >"$folder/given.pkrvars.json" <<JSON
{
  "region": "us-east-1",
  "release_folder": "$release",
  "kms_key_id": "$(key us-east-1)",
  "copy_to": { "eu-west-1": "$(key eu-west-1)" },
  "share_with": ["123456789013"],
  "files": "$rig/own/files",
  "scripts": ["$rig/own/scripts/install-agent.sh"],
  "script_environment": { "FLEET_KEY": "it's secret" },
  "container_images": ["public.ecr.aws/docker/library/redis:7"],
  "ami_parameters": { "x86_64": "/ami/ecs/latest" }
}
JSON
packer validate -evaluate-datasources "-var-file=$folder/given.pkrvars.json" "$repository/packer"
packer build '-only=*.x86_64' "-var-file=$folder/given.pkrvars.json" "$repository/packer"

for region in us-east-1 eu-west-1; do
  aws ssm get-parameters-by-path --region "$region" --path /ami/ecs >"$folder/parameters-$region.json"
  aws ec2 describe-images --region "$region" --owners self >"$folder/images-$region.json"
done
aws ec2 describe-instances >"$folder/instances.json"
aws ec2 describe-key-pairs >"$folder/keys.json"
aws ec2 describe-security-groups >"$folder/groups.json"
