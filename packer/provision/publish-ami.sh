#!/bin/sh
# Writes the ids of the images that Packer made to SSM parameters, from which CloudFormation reads
# them.
#
# usage: publish-ami.sh MANIFEST PARAMETER ARCHITECTURE
#   e.g. publish-ami.sh dist/release/packer-x86_64.json /ami/ecs/latest x86_64
#
# It does so in each region that the image was copied to. A second parameter beside PARAMETER has
# the build's time and the architecture as its name, for a roll back (/ami/ecs/latest and
# /ami/ecs/20260102T030405Z-x86_64). Images of two architectures may be built in the same second.
# Needs the AWS CLI and ssm:PutParameter.
set -eu

usage='usage: publish-ami.sh MANIFEST PARAMETER ARCHITECTURE'
manifest=${1:?$usage}
parameter=${2:?$usage}
architecture=${3:?$usage}

command -v aws >/dev/null || {
  echo "publish-ami.sh: needs the AWS CLI; the image is made, its id is in $manifest" >&2
  exit 69
}

# Packer appends each run to its manifest, one member a line. The last one belongs to this run.
last() {
  sed -n "s/^ *\"$1\": \"*\([^\",]*[^\"]*\)\"*,*\$/\1/p" "$manifest" | tail -n 1
}
images=$(last artifact_id)
built=$(last build_time)
case $images in
  *:ami-*) ;;
  *)
    echo "publish-ami.sh: $manifest names no image (REGION:ami-…); found \"$images\"" >&2
    exit 65
    ;;
esac
stamp=$(date -u -d "@${built%,}" +%Y%m%dT%H%M%SZ 2>/dev/null || date -u -r "${built%,}" +%Y%m%dT%H%M%SZ)

echo "$images" | tr ',' '\n' | while IFS=: read -r region ami; do
  for name in "$parameter" "${parameter%/*}/$stamp-$architecture"; do
    # With this data type SSM checks that the image exists and may be launched.
    aws ssm put-parameter --region "$region" --name "$name" --value "$ami" --type String --data-type aws:ec2:image \
      --overwrite --output text >/dev/null
    echo "$region $name = $ami"
  done
done
