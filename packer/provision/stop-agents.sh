#!/bin/sh
# Stops the agents of the build instance, so that it does not join a cluster or write its own
# identity into the image.
#
# usage: stop-agents.sh [UNIT…]      as root, before anything else is done to the machine
#
# UNITs carry Packer's own connection and keep running, for example amazon-ssm-agent.service.
# The stop lasts until the machine is switched off.
# It lives in /run, so the image keeps each unit enabled as it was.
set -eu

[ "$(id -u)" = 0 ] || {
  echo 'stop-agents.sh: must run as root' >&2
  exit 77
}
# Without systemd nothing runs that could be stopped.
[ -d /run/systemd/system ] || exit 0

# A build instance whose profile has ECS rights would join the cluster "default".
# The last two run where the source image already contains ecs-node.
agents='ecs.service amazon-ecs-volume-plugin.socket amazon-ecs-volume-plugin.service amazon-ssm-agent.service
ecs-node.service ecs-node-bootstrap.service'

stopped=
for unit in $agents; do
  case " $* " in *" $unit "*) continue ;; esac
  # "systemctl mask --runtime" does not reach a unit file in /etc, where some packages of the SSM
  # agent put theirs. It would also end a script that calls "systemctl enable --now" for one of
  # these units. A condition skips the start instead.
  mkdir -p "/run/systemd/system/$unit.d"
  printf '[Unit]\nConditionPathExists=!/run/systemd/system\n' >"/run/systemd/system/$unit.d/90-image-build.conf"
  stopped="$stopped $unit"
done
systemctl daemon-reload
# This also cancels a start that waits in systemd's queue until cloud-init ends. Units that are not
# installed do not matter.
# shellcheck disable=SC2086 # A list of unit names.
systemctl stop $stopped 2>/dev/null || true

for unit in $stopped; do
  ! systemctl is-active --quiet "$unit" || {
    echo "stop-agents.sh: $unit still runs after it was stopped; see \"systemctl status $unit\"" >&2
    exit 1
  }
done
echo "stopped until the machine is off:$stopped"
