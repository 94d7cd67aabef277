/**
 * Renders the host ports of a container, for a shell to source and as JSON, and the names of the
 * files. Pure.
 */

import type { LocalContainer, LocalTask, PortBinding } from '../core/host.ts';
import { shortArn } from '../core/arn.ts';

export interface PortFile {
  name: string;
  text: string;
}

/**
 * The length of Docker's short id. It is the container's host name unless its task sets another.
 */
const shortIdLength = 12;

/** True for the files that this program writes, and so may remove. */
export function isPortFile(name: string): boolean {
  return /^([0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(env|json)$/.test(name);
}

/** Two files for each container that publishes a port, and two for its task, by name. */
export function renderPortFiles(tasks: readonly LocalTask[], privateIp: string): PortFile[] {
  return tasks
    .filter(({ knownStatus }) => knownStatus !== 'STOPPED')
    .flatMap((task) => filesOf(task, privateIp))
    .filter(({ name }) => isPortFile(name));
}

function filesOf(task: LocalTask, privateIp: string): PortFile[] {
  const containers = (task.containers ?? [])
    .filter(({ ports }) => ports.length > 0)
    .map((container) => ({ ...container, ports: withoutTwins(container.ports) }));
  if (containers.length === 0) return [];
  // The containers of an awsvpc task share one interface, which is not the node's.
  const address = containers.find((container) => container.address !== undefined)?.address ?? privateIp;
  const both = (name: string, some: readonly LocalContainer[], variables: readonly Variable[]): PortFile[] => [
    { name: `${name}.json`, text: renderJson(task, some, address) },
    { name: `${name}.env`, text: renderShell(task, variables, address) },
  ];
  return [
    // While a task starts, further containers may still get their ports. Each container has its own
    // file, because other containers may start only after it is healthy.
    ...(task.knownStatus === 'PENDING' ? [] : both(shortArn(task.arn), containers, namedVariables(containers))),
    ...containers.flatMap((container) =>
      both(
        container.dockerId.slice(0, shortIdLength),
        [container],
        [
          ['ECS_NODE_CONTAINER', container.name],
          ...container.ports.map((port): Variable => [variableOf(port), String(port.hostPort)]),
        ],
      ),
    ),
  ];
}

type Variable = [name: string, value: string];

function variableOf({ protocol, containerPort }: PortBinding, container = ''): string {
  return `ECS_NODE_PORT_${container}${protocol.toUpperCase()}_${containerPort}`;
}

/**
 * Several containers of a task may publish the same port, so each variable of a task names its
 * container.
 */
function namedVariables(containers: readonly LocalContainer[]): Variable[] {
  const all = containers.flatMap(({ name, ports }) =>
    ports.map((port): Variable => [variableOf(port, `${name.replaceAll(/\W/g, '_')}_`), String(port.hostPort)]),
  );
  const counts = new Map<string, number>();
  for (const [name] of all) counts.set(name, (counts.get(name) ?? 0) + 1);
  // `a-b` and `a_b` would share one variable. The JSON file has both. Here no value is better than
  // a wrong one.
  return all.filter(([name]) => counts.get(name) === 1);
}

/**
 * Docker binds a port for IPv4 and for IPv6, usually with the same number. The rendered address is
 * an IPv4 one.
 */
function withoutTwins(ports: readonly PortBinding[]): PortBinding[] {
  const seen = new Map<string, PortBinding>();
  for (const port of ports) {
    const key = variableOf(port);
    const known = seen.get(key);
    if (known === undefined || (isIpv6(known) && !isIpv6(port))) seen.set(key, port);
  }
  return [...seen.values()].toSorted((a, b) => a.containerPort - b.containerPort || (a.protocol < b.protocol ? -1 : 1));
}

function isIpv6({ hostIp = '' }: PortBinding): boolean {
  return hostIp.includes(':');
}

const header = `# Written by ecs-node when the container started; changes are lost. The .json file beside it says the same as JSON.
`;

function renderShell(task: LocalTask, variables: readonly Variable[], privateIp: string): string {
  const all: Variable[] = [
    ['ECS_NODE_TASK_ID', shortArn(task.arn)],
    ['ECS_NODE_TASK_FAMILY', task.family],
    ['ECS_NODE_PRIVATE_IP', privateIp],
    ...variables,
  ];
  // Ids, families, names of containers and numbers: ECS allows no character in them that is special
  // to a shell.
  const isPlain = ([name, value]: Variable) => /^[A-Z]\w*$/.test(name) && /^[\w.:-]*$/.test(value);
  return (
    header +
    all
      .filter(isPlain)
      .map(([name, value]) => `${name}=${value}\n`)
      .join('')
  );
}

function renderJson(task: LocalTask, containers: readonly LocalContainer[], privateIp: string): string {
  const { arn, family, version: revision } = task;
  const named = containers.map(({ name, dockerId, ports }) => ({ name, dockerId, ports }));
  const told = { taskId: shortArn(arn), taskArn: arn, family, revision, privateIp, containers: named };
  return `${JSON.stringify(told, undefined, 2)}\n`;
}
