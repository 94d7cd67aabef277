/**
 * Task definitions: families of numbered revisions. A family's name means its newest ACTIVE
 * revision.
 */

import { Refusal } from '../refusal.ts';
import {
  arnOf,
  type Container,
  type ContainerDefinition,
  type ContainerInstance,
  type TaskDefinition,
  type World,
} from './state.ts';

export interface DefinitionOptions {
  cpu?: number;
  memory?: number;
  /** Default: one container, named as the family, without ports. */
  containers?: readonly ContainerDefinition[];
}

export function registerDefinition(world: World, family: string, options: DefinitionOptions = {}): TaskDefinition {
  const revisions = world.taskDefinitions.get(family) ?? [];
  const revision = revisions.length + 1;
  const definition: TaskDefinition = {
    family,
    revision,
    arn: arnOf(world, 'ecs', `task-definition/${family}:${revision}`),
    status: 'ACTIVE',
    cpu: options.cpu ?? 256,
    memory: options.memory ?? 512,
    containers: options.containers ?? [{ name: family, image: `${family}:${revision}`, ports: [] }],
  };
  world.taskDefinitions.set(family, [...revisions, definition]);
  return definition;
}

/** Registers the first revision for a harness that runs a family without registering it. */
export function ensureDefinition(world: World, family: string, options: DefinitionOptions = {}): TaskDefinition {
  return world.taskDefinitions.get(family)?.[0] ?? registerDefinition(world, family, options);
}

/**
 * Finds FAMILY (its newest ACTIVE revision), FAMILY:REVISION or an ARN; undefined if there is none.
 */
export function findDefinition(world: World, name: string): TaskDefinition | undefined {
  const found = /^(?:arn:[^/]+:task-definition\/)?([\w-]+)(?::(\d+))?$/.exec(name);
  if (!found) return undefined;
  const [, family = '', revision] = found;
  const revisions = world.taskDefinitions.get(family) ?? [];
  if (revision === undefined) return revisions.findLast(({ status }) => status === 'ACTIVE');
  return revisions[Number(revision) - 1];
}

/** Returns the revision if ECS can start tasks from it; refuses otherwise. */
export function needActiveDefinition(world: World, name: string): TaskDefinition {
  const found = findDefinition(world, name);
  if (!found) throw new Refusal('ClientException', 'TaskDefinition not found.');
  if (found.status !== 'ACTIVE') throw new Refusal('ClientException', 'TaskDefinition is inactive');
  return found;
}

/** Docker on Linux assigns dynamic ports from here on. */
const firstDynamicPort = 32_768;

/**
 * Gives each container its id and its ports; a dynamic port is the first free port of the instance.
 */
export function createContainers(
  definition: TaskDefinition,
  taskId: string,
  { tasks }: ContainerInstance,
): Container[] {
  const taken = new Set(
    [...tasks.values()].flatMap(({ containers }) =>
      containers.flatMap(({ ports }) => ports.map(({ hostPort }) => hostPort)),
    ),
  );
  const next = () => {
    let port = firstDynamicPort;
    while (taken.has(port)) port++;
    taken.add(port);
    return port;
  };
  return definition.containers.map(({ name, ports }, index) => ({
    name,
    dockerId: (index.toString(16) + taskId).slice(0, 64).padEnd(64, '0'),
    ports: ports.map((port) => ({ ...port, hostPort: port.hostPort || next() })),
  }));
}

/** True if no other task of the instance holds one of the fixed host ports. */
export function hasFreePorts({ containers }: TaskDefinition, { tasks }: ContainerInstance): boolean {
  const taken = [...tasks.values()].flatMap((task) =>
    task.containers.flatMap(({ ports }) => ports.map(({ hostPort, protocol }) => `${hostPort}/${protocol}`)),
  );
  return containers.every(({ ports }) =>
    ports.every(({ hostPort, protocol }) => hostPort === 0 || !taken.includes(`${hostPort}/${protocol}`)),
  );
}
