/**
 * ECS clusters and their container instances: the agent registers them, then they drain, deregister
 * or disconnect.
 */

import { Refusal } from '../refusal.ts';
import { providerOf } from './capacity-providers.ts';
import { isAlive } from './instances.ts';
import { schedule } from './scheduler.ts';
import { arnOf, emit, type Cluster, type ContainerInstance, type Instance, type World } from './state.ts';
import { endTask, resumeStops } from './tasks.ts';

export function createCluster(world: World, name: string): Cluster {
  const cluster: Cluster = {
    name,
    arn: arnOf(world, 'ecs', `cluster/${name}`),
    containerInstances: new Map(),
    byInstance: new Map(),
    services: new Map(),
    tasks: new Map(),
    capacityProviders: [],
    scheduling: false,
  };
  world.clusters.set(name, cluster);
  return cluster;
}

/** Finds by name or ARN; without either it finds `default`. */
export function findCluster(world: World, nameOrArn: string | undefined): Cluster {
  const name = (nameOrArn ?? 'default').replace(/^arn:[^/]*cluster\//, '');
  const cluster = world.clusters.get(name);
  if (!cluster) throw new Refusal('ClusterNotFoundException', 'Cluster not found.');
  return cluster;
}

/** Finds by ARN or its last part; undefined if the cluster has no such instance (any more). */
export function findContainerInstance(cluster: Cluster, idOrArn: string): ContainerInstance | undefined {
  return cluster.containerInstances.get(idOrArn.split('/').at(-1)!);
}

/** Runs at the start of an agent: it registers or reconnects, unless it was stopped before. */
export function connectAgent(
  world: World,
  cluster: Cluster,
  instance: Instance,
  isRunning: () => boolean,
  forgets: boolean,
): void {
  world.clock.after(world.settings.ecs.registerMs, () => {
    if (!isAlive(instance) || !isRunning()) return;
    const known = cluster.byInstance.get(instance.id);
    if (known && known.status !== 'INACTIVE' && !forgets) return setConnected(world, cluster, known, true);
    register(world, cluster, instance);
  });
}

function register(world: World, cluster: Cluster, instance: Instance): void {
  const id = world.random.hex(32);
  const registered: ContainerInstance = {
    arn: arnOf(world, 'ecs', `container-instance/${cluster.name}/${id}`),
    instanceId: instance.id,
    registeredAt: world.clock.now(),
    status: 'ACTIVE',
    agentConnected: true,
    runtimeHealth: 'OK',
    agentVersion: world.settings.ecs.agentVersion,
    cpu: 2048,
    memory: 7680,
    tasks: new Map(),
    stopped: new Map(),
    attributes: new Map<string, string | undefined>([
      ['ecs.availability-zone', instance.zone],
      ['ecs.instance-type', instance.type],
      ['ecs.ami-id', instance.imageId],
      ['ecs.os-type', 'linux'],
      ['ecs.cpu-architecture', instance.architecture],
    ]),
    capacityProvider: providerOf(world, cluster, instance),
  };
  cluster.containerInstances.set(id, registered);
  cluster.byInstance.set(instance.id, registered);
  emitState(world, cluster, registered, 'ACTIVE');
  schedule(world, cluster);
}

export function setConnected(world: World, cluster: Cluster, instance: ContainerInstance, connected: boolean): void {
  if (instance.status === 'INACTIVE' || instance.agentConnected === connected) return;
  instance.agentConnected = connected;
  emitState(world, cluster, instance, connected ? 'connected' : 'disconnected');
  if (connected) resumeStops(world, cluster, instance);
  schedule(world, cluster);
}

export function setStatus(
  world: World,
  cluster: Cluster,
  instance: ContainerInstance,
  status: 'ACTIVE' | 'DRAINING',
): void {
  if (instance.status === status) return;
  instance.status = status;
  emitState(world, cluster, instance, status);
  schedule(world, cluster);
}

export function deregister(world: World, cluster: Cluster, instance: ContainerInstance, reason: string): void {
  if (instance.status === 'INACTIVE') return;
  instance.status = 'INACTIVE';
  instance.agentConnected = false;
  cluster.byInstance.delete(instance.instanceId);
  cluster.containerInstances.delete(instance.arn.split('/').at(-1)!);
  for (const task of instance.tasks.values()) endTask(world, cluster, task, reason);
  emitState(world, cluster, instance, 'INACTIVE');
  schedule(world, cluster);
}

/**
 * ECS forgets a terminated instance, unless its agent had already disconnected. A stopped instance
 * stays, disconnected.
 */
export function watchMachines(world: World): void {
  world.listeners.add((event) => {
    if (event.kind !== 'instance' || isAlive(event.instance)) return;
    const { id, state } = event.instance;
    const located = findByInstance(world, id);
    if (!located) return;
    const { cluster, instance } = located;
    if (state === 'shutting-down' || state === 'stopping') {
      const wasConnected = instance.agentConnected;
      setConnected(world, cluster, instance, false);
      if (state === 'stopping' || !wasConnected) return;
      const reason = `Host EC2 (instance ${id}) terminated.`;
      const { shuttingDownMs } = world.settings.ec2;
      world.clock.after(shuttingDownMs + world.settings.ecs.noticeDeathMs, () =>
        deregister(world, cluster, instance, reason),
      );
    }
  });
}

/** One index lookup per cluster is cheap: an account has a handful of clusters. */
export function findByInstance(
  world: World,
  instanceId: string,
): { cluster: Cluster; instance: ContainerInstance } | undefined {
  for (const cluster of world.clusters.values()) {
    const instance = cluster.byInstance.get(instanceId);
    if (instance) return { cluster, instance };
  }
  return undefined;
}

function emitState(world: World, cluster: Cluster, instance: ContainerInstance, state: string): void {
  emit(world, { kind: 'container-instance', cluster, instance, state });
}
