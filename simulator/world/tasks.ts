/** ECS tasks: each state on the way up and on the way down, with its duration. */

import {
  arnOf,
  emit,
  type Cluster,
  type ContainerInstance,
  type Service,
  type Task,
  type TaskDefinition,
  type World,
} from './state.ts';
import { createContainers } from './task-definitions.ts';

export interface TaskRequest {
  containerInstance: ContainerInstance;
  service?: Service;
  definition: TaskDefinition;
  group: string;
  startedBy?: string;
  /** The values that override the definition's. */
  cpu?: number;
  memory?: number;
  stopMs?: number | undefined;
}

/** Called when a task moves or a count changes. */
type Changed = (cluster: Cluster) => void;

/** The scheduler sets the observer; it is here because tasks end by themselves. */
const observers = new WeakMap<World, Changed>();

export function observeTasks(world: World, changed: Changed): void {
  observers.set(world, changed);
}

export function startTask(world: World, cluster: Cluster, request: TaskRequest): Task {
  const { containerInstance, service, definition } = request;
  const id = world.random.hex(32);
  const task: Task = {
    arn: arnOf(world, 'ecs', `task/${cluster.name}/${id}`),
    taskDefinition: definition.arn,
    group: request.group,
    startedBy: request.startedBy,
    service,
    containerInstance,
    containers: createContainers(definition, id, containerInstance),
    cpu: request.cpu ?? definition.cpu,
    memory: request.memory ?? definition.memory,
    stopMs: request.stopMs,
    protectedUntil: undefined,
    createdAt: world.clock.now(),
    desiredStatus: 'RUNNING',
    lastStatus: '',
    startedAt: undefined,
    stoppingAt: undefined,
    stoppedAt: undefined,
    stoppedReason: undefined,
    stopCode: undefined,
  };
  cluster.tasks.set(task.arn, task);
  containerInstance.tasks.set(task.arn, task);
  service?.tasks.set(task.arn, task);
  const { provisioningMs, pendingMs } = world.settings.ecs;
  become(world, cluster, task, 'PROVISIONING');
  world.clock.after(provisioningMs, () => advance(world, cluster, task, 'PENDING'));
  world.clock.after(provisioningMs + pendingMs, () => advance(world, cluster, task, 'RUNNING'));
  return task;
}

function advance(world: World, cluster: Cluster, task: Task, status: 'PENDING' | 'RUNNING'): void {
  if (task.desiredStatus === 'STOPPED' || !task.containerInstance.agentConnected) return;
  if (status === 'RUNNING') task.startedAt = world.clock.now();
  become(world, cluster, task, status);
}

/** Idempotent. A disconnected agent receives the order after it reconnects. */
export function stopTask(world: World, cluster: Cluster, task: Task, reason: string, code: string): void {
  if (task.desiredStatus === 'STOPPED') return;
  task.desiredStatus = 'STOPPED';
  task.stoppedReason = reason;
  task.stopCode = code;
  become(world, cluster, task, task.lastStatus);
  if (task.containerInstance.agentConnected) descend(world, cluster, task);
}

/** After a reconnect, the agent stops and starts the tasks that waited. */
export function resumeStops(world: World, cluster: Cluster, instance: ContainerInstance): void {
  for (const task of instance.tasks.values()) {
    if (task.desiredStatus === 'STOPPED' && task.stoppingAt === undefined) descend(world, cluster, task);
    else if (task.lastStatus === 'PENDING' || task.lastStatus === 'PROVISIONING') {
      world.clock.after(world.settings.ecs.pendingMs, () => advance(world, cluster, task, 'RUNNING'));
    }
  }
}

function descend(world: World, cluster: Cluster, task: Task): void {
  const { deactivatingMs, stoppingMs, deprovisioningMs } = world.settings.ecs;
  task.stoppingAt = world.clock.now();
  const stoppedAfter = deactivatingMs + (task.stopMs ?? stoppingMs);
  become(world, cluster, task, 'DEACTIVATING');
  const later = (ms: number, status: string) =>
    world.clock.after(ms, () => {
      if (task.lastStatus !== 'STOPPED') become(world, cluster, task, status);
    });
  later(deactivatingMs, 'STOPPING');
  later(stoppedAfter, 'DEPROVISIONING');
  world.clock.after(stoppedAfter + deprovisioningMs, () => finish(world, cluster, task));
}

/** The instance terminated, so the task skips the intermediate states. */
export function endTask(world: World, cluster: Cluster, task: Task, reason: string): void {
  task.desiredStatus = 'STOPPED';
  task.stoppedReason ??= reason;
  task.stopCode ??= 'TerminationNotice';
  finish(world, cluster, task);
}

function finish(world: World, cluster: Cluster, task: Task): void {
  if (task.lastStatus === 'STOPPED') return;
  task.stoppedAt = world.clock.now();
  task.containerInstance.tasks.delete(task.arn);
  task.containerInstance.stopped.set(task.arn, task);
  task.service?.tasks.delete(task.arn);
  become(world, cluster, task, 'STOPPED');
  world.clock.after(world.settings.ecs.forgetStoppedMs, () => {
    cluster.tasks.delete(task.arn);
    task.containerInstance.stopped.delete(task.arn);
  });
}

function become(world: World, cluster: Cluster, task: Task, status: string): void {
  task.lastStatus = status;
  emit(world, { kind: 'task', cluster, task, state: status });
  observers.get(world)?.(cluster);
}
