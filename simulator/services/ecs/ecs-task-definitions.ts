/** ECS's operations on task definitions. */

import { Refusal } from '../../refusal.ts';
import { list, need, oneOf, record, text, whole } from '../../wire/shapes.ts';
import type { TaskDefinition, World } from '../../world/state.ts';
import { findDefinition, registerDefinition } from '../../world/task-definitions.ts';
import { operation } from '../service.ts';

const portMapping = record({
  containerPort: need(whole({ min: 1, max: 65_535 })),
  hostPort: whole({ min: 0, max: 65_535 }),
  protocol: oneOf('tcp', 'udp'),
});

const containerDefinition = record({
  name: need(text({ pattern: /^[\w-]{1,255}$/ })),
  image: need(text()),
  cpu: whole({ min: 0 }),
  memory: whole({ min: 4 }),
  memoryReservation: whole({ min: 4 }),
  portMappings: list(portMapping),
  stopTimeout: whole({ min: 0 }),
});

export const taskDefinitions = {
  RegisterTaskDefinition: operation(
    {
      family: need(text({ pattern: /^[\w-]{1,255}$/ })),
      networkMode: oneOf('bridge', 'host', 'awsvpc', 'none'),
      cpu: text(),
      memory: text(),
      containerDefinitions: need(list(containerDefinition, { min: 1 })),
    },
    ({ family, cpu, memory, containerDefinitions: given }, { world }) => {
      const sum = (pick: (one: (typeof given)[number]) => number | undefined) =>
        given.reduce((total, one) => total + (pick(one) ?? 0), 0);
      const definition = registerDefinition(world, family, {
        cpu: Number(cpu ?? sum((one) => one.cpu)),
        memory: Number(memory ?? sum((one) => one.memory ?? one.memoryReservation)),
        containers: given.map(({ name, image, portMappings = [], stopTimeout }) => ({
          name,
          image,
          ports: portMappings.map(({ containerPort, hostPort = 0, protocol = 'tcp' }) => ({
            containerPort,
            hostPort,
            protocol,
          })),
          ...(stopTimeout !== undefined && { stopTimeout }),
        })),
      });
      return { taskDefinition: render(definition) };
    },
  ),
  DeregisterTaskDefinition: operation({ taskDefinition: need(text()) }, ({ taskDefinition }, { world }) => {
    if (!/:\d+$/.test(taskDefinition)) throw new Refusal('ClientException', 'Invalid revision number.');
    const definition = find(world, taskDefinition, 'The specified task definition does not exist.');
    definition.status = 'INACTIVE';
    return { taskDefinition: render(definition) };
  }),
  DescribeTaskDefinition: operation(
    { taskDefinition: need(text()), include: list(text()) },
    ({ taskDefinition }, { world }) => ({
      taskDefinition: render(find(world, taskDefinition, 'Unable to describe task definition.')),
    }),
  ),
};

function find(world: World, name: string, complaint: string): TaskDefinition {
  const found = findDefinition(world, name);
  if (!found) throw new Refusal('ClientException', complaint);
  return found;
}

function render({ family, revision, arn, status, cpu, memory, containers }: TaskDefinition): object {
  return {
    taskDefinitionArn: arn,
    family,
    revision,
    status,
    networkMode: 'bridge',
    cpu: String(cpu),
    memory: String(memory),
    containerDefinitions: containers.map(({ name, image, ports, stopTimeout }) => ({
      name,
      image,
      essential: true,
      portMappings: ports,
      ...(stopTimeout !== undefined && { stopTimeout }),
    })),
  };
}
