#!/bin/sh
# Pulls container images into the image, so that a node's first tasks start without a download.
#
# usage: preload-images.sh [IMAGE…]      as root
#
# For a private registry, log in from one of your scripts (variable "scripts"); clean-image.sh
# removes the credentials.
set -eu

[ $# -gt 0 ] || exit 0
fail() {
  echo "preload-images.sh: $1" >&2
  exit 69
}
command -v docker >/dev/null || fail 'there is no docker on this machine'
# On the ECS-optimized image ecs.service starts Docker, and stop-agents.sh has stopped that one.
if [ -d /run/systemd/system ]; then systemctl start docker.service; fi

for image in "$@"; do
  # Three tries: a registry may be busy for a moment, and one failure would cost the whole build.
  for try in 1 2 3; do
    ! docker pull --quiet "$image" || continue 2
    [ "$try" = 3 ] || sleep 5
  done
  fail "cannot pull $image; is the name right, may this machine read it, and does it exist for $(uname -m)?"
done
echo "pre-loaded: $*"
