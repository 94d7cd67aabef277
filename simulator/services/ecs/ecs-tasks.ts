/** ECS's operations on tasks. */

import { Refusal } from '../../refusal.ts';
import { list, need, oneOf, text, whole } from '../../wire/shapes.ts';
import { findCluster, findContainerInstance } from '../../world/clusters.ts';
import { remaining } from '../../world/scheduler.ts';
import type { Cluster, ContainerInstance, Task, TaskDefinition, World } from '../../world/state.ts';
import { findDefinition, hasFreePorts, needActiveDefinition } from '../../world/task-definitions.ts';
import { startTask, stopTask } from '../../world/tasks.ts';
import { clusterAccess, containerInstanceAccess } from './ecs-access.ts';
import { renderTask } from './ecs-form.ts';
import { takePage } from '../pages.ts';
import { operation } from '../service.ts';

export const tasks = {
  ListTasks: operation(
    {
      cluster: text(),
      containerInstance: text(),
      serviceName: text(),
      family: text(),
      startedBy: text(),
      desiredStatus: oneOf('RUNNING', 'PENDING', 'STOPPED'),
      maxResults: whole({ min: 1, max: 100 }),
      nextToken: text(),
    },
    (input, { world }) => {
      const cluster = findCluster(world, input.cluster);
      const { desiredStatus = 'RUNNING' } = input;
      const arns = candidates(world, cluster, input.containerInstance, input.serviceName)
        .filter((task) => task.desiredStatus === desiredStatus)
        .filter(({ taskDefinition }) => input.family === undefined || taskDefinition.includes(`/${input.family}:`))
        .filter(({ startedBy }) => input.startedBy === undefined || startedBy === input.startedBy)
        .map(({ arn }) => arn);
      const badToken = () => new Refusal('InvalidParameterException', 'Invalid token');
      const { page, next } = takePage(arns, input.maxResults ?? 100, input.nextToken, badToken);
      return { taskArns: page, nextToken: next };
    },
    ({ cluster, containerInstance }, { world }) => {
      const [access] = clusterAccess(world, cluster);
      const base = `arn:aws:ecs:${world.region}:${world.accountId}:container-instance`;
      const resource = containerInstance?.startsWith('arn:')
        ? containerInstance
        : `${base}/${containerInstance ?? '*'}`;
      return [{ ...access, resource }];
    },
  ),
  DescribeTasks: operation(
    { cluster: text(), tasks: need(list(text(), { min: 1, max: 100 })), include: list(text()) },
    ({ cluster: name, tasks: ids }, { world }) => {
      const cluster = findCluster(world, name);
      const found = ids.map((id) => ({ id, task: findTask(world, cluster, id) }));
      return {
        tasks: found.flatMap(({ task }) => (task ? [renderTask(cluster, task)] : [])),
        failures: found
          .filter(({ task }) => !task)
          .map(({ id }) => ({ arn: arnFor(world, cluster, id), reason: 'MISSING' })),
      };
    },
    ({ cluster: name, tasks: ids }, { world }) => {
      const [access] = clusterAccess(world, name);
      const cluster = world.clusters.get((name ?? 'default').split('/').at(-1)!);
      return ids.map((id) => ({ ...access, resource: cluster ? arnFor(world, cluster, id) : id }));
    },
  ),
  StopTask: operation(
    { cluster: text(), task: need(text()), reason: text({ max: 1024 }) },
    ({ cluster: name, task: id, reason = 'Task stopped by user' }, { world }) => {
      const cluster = findCluster(world, name);
      const task = findTask(world, cluster, id);
      if (!task) throw new Refusal('InvalidParameterException', 'The referenced task was not found.');
      stopTask(world, cluster, task, reason, 'UserInitiated');
      return { task: renderTask(cluster, task) };
    },
    ({ cluster: name, task: id }, { world }) => {
      const [access] = clusterAccess(world, name);
      const cluster = world.clusters.get((name ?? 'default').split('/').at(-1)!);
      return [{ ...access, resource: cluster ? arnFor(world, cluster, id) : id }];
    },
  ),
  GetTaskProtection: operation(
    { cluster: text(), tasks: need(list(text(), { min: 1, max: 100 })) },
    ({ cluster: name, tasks: ids }, { world }) => {
      const cluster = findCluster(world, name);
      const found = ids.map((id) => ({ id, task: findTask(world, cluster, id) }));
      return {
        protectedTasks: found.flatMap(({ task }) => (task ? [renderProtection(world, task)] : [])),
        failures: found
          .filter(({ task }) => !task)
          .map(({ id }) => ({ arn: arnFor(world, cluster, id), reason: 'TASK_NOT_FOUND' })),
      };
    },
    ({ cluster: name, tasks: ids }, { world }) => {
      const [access] = clusterAccess(world, name);
      const cluster = world.clusters.get((name ?? 'default').split('/').at(-1)!);
      return ids.map((id) => ({ ...access, resource: cluster ? arnFor(world, cluster, id) : id }));
    },
  ),
  StartTask: operation(
    {
      cluster: text(),
      containerInstances: need(list(text(), { min: 1, max: 10 })),
      taskDefinition: need(text()),
      startedBy: text({ pattern: /^[\w/-]{1,36}$/ }),
      group: text(),
    },
    (input, { world }) => {
      const cluster = findCluster(world, input.cluster);
      const definition = needActiveDefinition(world, input.taskDefinition);
      const started: object[] = [];
      const failures: object[] = [];
      for (const id of input.containerInstances) {
        const on = findContainerInstance(cluster, id);
        const reason = on ? reasonAgainst(on, definition) : 'MISSING';
        if (!on || reason !== undefined) {
          failures.push({ arn: id, reason });
          continue;
        }
        const { group = `family:${definition.family}`, startedBy } = input;
        const request = {
          containerInstance: on,
          definition,
          group,
          ...(startedBy !== undefined && { startedBy }),
        };
        started.push(renderTask(cluster, startTask(world, cluster, request)));
      }
      return { tasks: started, failures };
    },
    ({ cluster, containerInstances, taskDefinition }, { world }) => {
      const [access] = clusterAccess(world, cluster);
      const resource = findDefinition(world, taskDefinition)?.arn ?? taskDefinition;
      const instances = containerInstanceAccess(world, cluster, containerInstances).flatMap(
        ({ resource: arn }) => arn ?? [],
      );
      return [{ resource, context: { ...access?.context, 'ecs:container-instances': instances } }];
    },
  ),
};

function renderProtection(world: World, { arn, protectedUntil }: Task): object {
  const isProtected = protectedUntil !== undefined && protectedUntil > world.clock.now();
  return {
    taskArn: arn,
    protectionEnabled: isProtected,
    ...(isProtected && { expirationDate: new Date(protectedUntil) }),
  };
}

/**
 * Returns the reason why the instance cannot start the task. DRAINING is none: StartTask asks no
 * scheduler.
 */
function reasonAgainst(on: ContainerInstance, definition: TaskDefinition): string | undefined {
  if (on.status === 'INACTIVE') return 'INACTIVE';
  if (!on.agentConnected) return 'AGENT';
  const left = remaining(on);
  if (left.cpu < definition.cpu) return 'RESOURCE:CPU';
  if (left.memory < definition.memory) return 'RESOURCE:MEMORY';
  return hasFreePorts(definition, on) ? undefined : 'RESOURCE:PORTS';
}

function candidates(
  world: World,
  cluster: Cluster,
  containerInstance: string | undefined,
  serviceName: string | undefined,
): Task[] {
  if (containerInstance !== undefined) {
    const instance = findContainerInstance(cluster, containerInstance);
    if (!instance) throw new Refusal('InvalidParameterException', 'The referenced container instance was not found.');
    return [...instance.tasks.values(), ...instance.stopped.values()];
  }
  if (serviceName === undefined) return [...cluster.tasks.values()];
  const service = cluster.services.get(serviceName.split('/').at(-1)!);
  if (!service) throw new Refusal('ServiceNotFoundException', 'Service not found.');
  return [...service.tasks.values()];
}

function arnFor(world: World, cluster: Cluster, id: string): string {
  return id.startsWith('arn:') ? id : `arn:aws:ecs:${world.region}:${world.accountId}:task/${cluster.name}/${id}`;
}

function findTask(world: World, cluster: Cluster, id: string): Task | undefined {
  return cluster.tasks.get(arnFor(world, cluster, id));
}
