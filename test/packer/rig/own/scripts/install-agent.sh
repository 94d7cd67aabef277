#!/bin/bash -e
# A builder's own script: it installs an agent, and it leaves traces.
[[ $(id -u) = 0 && $FLEET_KEY = "it's secret" ]]
systemctl enable --now fleet-agent.service

# An update of ecs-init or of the SSM agent does this. Neither may run on the build instance.
systemctl enable --now ecs.service amazon-ssm-agent.service
for unit in ecs amazon-ssm-agent; do
  if systemctl is-active --quiet "$unit"; then
    echo "$unit runs on the build instance" >&2
    exit 1
  fi
done

dnf --quiet repolist
mkdir -p /root/.docker
echo '{"auths":{}}' >/root/.docker/config.json
