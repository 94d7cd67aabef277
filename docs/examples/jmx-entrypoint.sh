#!/bin/sh
# Starts a JVM whose JMX port can be reached from outside though ECS has chosen its host port:
#
#   jmx-entrypoint.sh java -jar app.jar
#
# JMX sends each client on to a second address, that of the RMI server, and that address must be the one outside: the node's, and
# the host port. A JVM can name only a port that it listens at itself, so it listens at the host port's number, on the container's
# own loopback, and socat leads from the container port to there. The node tells the number (ecs-node, docs/dynamic-ports.md).
#
#   JMX_CONTAINER_PORT  the containerPort of the task definition, whose hostPort is 0; default 9010
#   JMX_OPTIONS         further options of the JVM, such as authentication and TLS
#   PORTS_FOLDER        where the node's /run/ecs-node/ports is mounted, read only; default the same path
#   PORTS_WAIT_SECONDS  how long its file is waited for; default 60, since the node looks every five seconds
set -eu

fail() {
  echo "jmx-entrypoint: $1" >&2
  exit 69
}

container_port=${JMX_CONTAINER_PORT:-9010}
case $container_port in
  '' | *[!0-9]*) fail "JMX_CONTAINER_PORT is no port: $container_port" ;;
esac

# Docker's host name for a container in bridge mode is its short id, unless the task definition sets another one.
file=${PORTS_FOLDER:-/run/ecs-node/ports}/$(printenv HOSTNAME || hostname).env
left=${PORTS_WAIT_SECONDS:-60}
until [ -r "$file" ]; do
  [ "$left" -gt 0 ] || fail "$file has not come: is ports.enabled set on the node, and the folder mounted?"
  left=$((left - 1))
  sleep 1
done
# shellcheck source=/dev/null
. "$file"
eval "host_port=\${ECS_NODE_PORT_TCP_$container_port:-}"
[ -n "${host_port:-}" ] || fail "$file has no host port for $container_port/tcp: is it in the task definition's portMappings?"

socat "TCP-LISTEN:$container_port,fork,reuseaddr" "TCP:127.0.0.1:$host_port" &

# Only the java command reads these, not every tool of the JDK that somebody starts in the container.
export JDK_JAVA_OPTIONS="-Dcom.sun.management.jmxremote.host=127.0.0.1 \
-Dcom.sun.management.jmxremote.port=$host_port \
-Dcom.sun.management.jmxremote.rmi.port=$host_port \
-Djava.rmi.server.hostname=${ECS_NODE_PRIVATE_IP:?} \
${JMX_OPTIONS:-}"
exec "$@"
