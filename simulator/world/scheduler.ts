/**
 * The ECS scheduler: keeps services at their desired count, and moves tasks off draining instances
 * without breaking services.
 */

import { Refusal } from '../refusal.ts';
import { arnOf, type Cluster, type ContainerInstance, type Service, type Task, type World } from './state.ts';
import { firstDeployment } from './deployments.ts';
import { ensureDefinition, findDefinition } from './task-definitions.ts';
import { observeTasks, startTask, stopTask } from './tasks.ts';
import type { ServiceOptions } from '../options.ts';

export function createService(world: World, cluster: Cluster, options: ServiceOptions): Service {
  const family = options.name.replace(/-(service|daemon)$/, '');
  const service: Service = {
    name: options.name,
    arn: arnOf(world, 'ecs', `service/${cluster.name}/${options.name}`),
    desired: options.desired ?? 1,
    daemon: options.daemon ?? false,
    minimumHealthyPercent: options.minimumHealthyPercent ?? (options.daemon ? 0 : 100),
    maximumPercent: options.maximumPercent ?? (options.daemon ? 100 : 200),
    taskDefinition: ensureDefinition(world, family, options).arn,
    cpu: options.cpu ?? 256,
    memory: options.memory ?? 512,
    stopMs: options.stopMs,
    status: 'ACTIVE',
    controller: options.controller ?? 'ECS',
    deployments: options.controller === undefined ? [firstDeployment(world)] : [],
    tasks: new Map(),
  };
  if (service.minimumHealthyPercent > service.maximumPercent) {
    throw new Refusal('InvalidParameterException', 'The maximumPercent value must be at least minimumHealthyPercent.');
  }
  cluster.services.set(service.name, service);
  schedule(world, cluster);
  return service;
}

/** Tasks can end by themselves, so the scheduler observes them. */
export function watchTasks(world: World): void {
  observeTasks(world, (cluster) => schedule(world, cluster));
}

/** Schedules one run that covers all changes until it starts. */
export function schedule(world: World, cluster: Cluster): void {
  if (cluster.scheduling || cluster.services.size === 0) return;
  cluster.scheduling = true;
  world.clock.after(world.settings.ecs.schedulerMs, () => {
    cluster.scheduling = false;
    for (const service of cluster.services.values()) {
      if (service.daemon) placeDaemons(world, cluster, service);
      else placeReplicas(world, cluster, service);
    }
  });
}

const wanted = (task: Task) => task.desiredStatus === 'RUNNING';
const healthy = (task: Task) => wanted(task) && task.lastStatus === 'RUNNING';
const isLeavingTask = ({ containerInstance }: Task) => containerInstance.status === 'DRAINING';

const isProtected = ({ clock }: World, { protectedUntil }: Task) => (protectedUntil ?? 0) > clock.now();

function placeReplicas(world: World, cluster: Cluster, service: Service): void {
  const lower = Math.ceil((service.desired * service.minimumHealthyPercent) / 100);
  const upper = Math.max(1, Math.floor((service.desired * service.maximumPercent) / 100));
  // ECS does not wait for a task that is not yet healthy.
  for (const task of service.tasks.values()) {
    if (isLeavingTask(task) && wanted(task) && !healthy(task)) retire(world, cluster, task);
  }
  const tasks = [...service.tasks.values()].filter(wanted);
  const leaving = tasks.filter(isLeavingTask);
  let staying = tasks.length - leaving.length;
  let total = tasks.length;
  while (staying < service.desired && total < upper && placeOne(world, cluster, service)) {
    staying++;
    total++;
  }
  let serving = tasks.filter(healthy).length;
  for (const task of leaving.filter((each) => !isProtected(world, each))) {
    if (serving <= lower) break;
    retire(world, cluster, task);
    serving--;
  }
  const surplus = tasks.filter((task) => !isLeavingTask(task)).slice(service.desired);
  for (const task of surplus) {
    stopTask(world, cluster, task, 'Scaling activity initiated by deployment', 'ServiceSchedulerInitiated');
  }
}

function retire(world: World, cluster: Cluster, task: Task): void {
  const instance = task.containerInstance.arn;
  stopTask(
    world,
    cluster,
    task,
    `Service scheduler: container instance ${instance} is draining`,
    'ServiceSchedulerInitiated',
  );
}

function placeOne(world: World, cluster: Cluster, service: Service): boolean {
  let best: ContainerInstance | undefined;
  for (const instance of cluster.containerInstances.values()) {
    if (!isOpen(instance) || !fits(instance, service)) continue;
    if (!best || instance.tasks.size < best.tasks.size) best = instance;
  }
  if (!best) return false;
  startServiceTask(world, cluster, service, best);
  return true;
}

function placeDaemons(world: World, cluster: Cluster, service: Service): void {
  const placed = new Map([...service.tasks.values()].filter(wanted).map((task) => [task.containerInstance, task]));
  let count = 0;
  for (const instance of cluster.containerInstances.values()) {
    const task = placed.get(instance);
    if (isOpen(instance)) {
      count++;
      if (!task && fits(instance, service)) startServiceTask(world, cluster, service, instance);
    } else if (task && instance.status === 'DRAINING' && !hasOthers(instance)) {
      // Daemon tasks stop last: a log shipper must outlive the tasks whose logs it ships.
      retire(world, cluster, task);
    }
  }
  service.desired = count;
}

/**
 * True if replicas still run there; a task that belongs to no service does not delay the daemons.
 */
const hasOthers = (instance: ContainerInstance) =>
  [...instance.tasks.values()].some((task) => task.service?.daemon === false);

const isOpen = ({ status, agentConnected }: ContainerInstance) => status === 'ACTIVE' && agentConnected;

/** Returns the free capacity for new tasks. */
export function remaining(instance: ContainerInstance): { cpu: number; memory: number } {
  let { cpu, memory } = instance;
  for (const task of instance.tasks.values()) {
    cpu -= task.cpu;
    memory -= task.memory;
  }
  return { cpu, memory };
}

export function fits(instance: ContainerInstance, { cpu, memory }: { cpu: number; memory: number }): boolean {
  const left = remaining(instance);
  return left.cpu >= cpu && left.memory >= memory;
}

function startServiceTask(world: World, cluster: Cluster, service: Service, on: ContainerInstance): void {
  const { taskDefinition, cpu, memory, stopMs, name } = service;
  startTask(world, cluster, {
    containerInstance: on,
    service,
    definition: findDefinition(world, taskDefinition)!,
    group: `service:${name}`,
    startedBy: `ecs-svc/${world.random.hex(19)}`,
    cpu,
    memory,
    stopMs,
  });
}
