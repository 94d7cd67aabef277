#!/bin/sh
# Starts a JVM whose JMX port can be reached from outside, although ECS has chosen its host port:
#
#   jmx-entrypoint.sh java -jar app.jar
#
# JMX sends each client to a second address, that of the RMI server. It must be the outside address:
# the node's, with the host port. A JVM can name only a port on which it listens itself. So it
# listens on the host port's number, on the container's own loopback, and socat forwards from the
# container port to there. ecs-node writes the number to a file (docs/dynamic-ports.md).
#
#   JMX_CONTAINER_PORT  the containerPort of the task definition, whose hostPort is 0; default 9010
#   JMX_OPTIONS         further options of the JVM, such as authentication and TLS
#   PORTS_FOLDER        mount of the node's /run/ecs-node/ports, read only; default the same path
#   PORTS_WAIT_SECONDS  longest wait for its file; default 60, since the node writes every 5 s
set -eu

fail() {
  echo "jmx-entrypoint: $1" >&2
  exit 69
}

container_port=${JMX_CONTAINER_PORT:-9010}
case $container_port in
  '' | *[!0-9]*) fail "JMX_CONTAINER_PORT is not a port: $container_port" ;;
esac

# In bridge mode, the host name of a container is its short id, unless the task definition sets
# another one.
file=${PORTS_FOLDER:-/run/ecs-node/ports}/$(printenv HOSTNAME || hostname).env
left=${PORTS_WAIT_SECONDS:-60}
until [ -r "$file" ]; do
  [ "$left" -gt 0 ] || fail "$file does not exist: is ports.enabled set on the node, and the folder mounted?"
  left=$((left - 1))
  sleep 1
done
# shellcheck source=/dev/null
. "$file"
eval "host_port=\${ECS_NODE_PORT_TCP_$container_port:-}"
[ -n "${host_port:-}" ] || fail "$file has no host port for $container_port/tcp: is it in the task definition's portMappings?"

socat "TCP-LISTEN:$container_port,fork,reuseaddr" "TCP:127.0.0.1:$host_port" &

# Only the java command reads these. Other tools of the JDK in the container do not.
export JDK_JAVA_OPTIONS="-Dcom.sun.management.jmxremote.host=127.0.0.1 \
-Dcom.sun.management.jmxremote.port=$host_port \
-Dcom.sun.management.jmxremote.rmi.port=$host_port \
-Djava.rmi.server.hostname=${ECS_NODE_PRIVATE_IP:?} \
${JMX_OPTIONS:-}"
exec "$@"
