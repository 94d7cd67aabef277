/** The actions that a test, the command line and the control API can cause. */

import type { HookOptions, ServiceOptions, TaskOptions } from './options.ts';
import { createLoadBalancer, createTargetGroup } from './world/balancers.ts';
import { createBucket, putObject } from './world/buckets.ts';
import { createCapacityProvider } from './world/capacity-providers.ts';
import { createCluster, findByInstance, findCluster, setConnected } from './world/clusters.ts';
import { findGroup, putHook, setDesiredCapacity, terminateMember } from './world/groups.ts';
import {
  endInstance,
  findInstance,
  isAlive,
  launchInstance,
  powerOff,
  startInstance,
  stopInstance,
} from './world/instances.ts';
import {
  endMaintenance,
  claimSpot,
  noticeSpot,
  recommendRebalance,
  scheduleMaintenance,
  setTargetState,
  withdrawSpot,
} from './world/notices.ts';
import { parsePolicy } from './iam/policy.ts';
import { registerScalableTarget } from './services/application-autoscaling.ts';
import { beginDeployment, endDeployment } from './world/deployments.ts';
import { createService, schedule } from './world/scheduler.ts';
import type { Instance, LaunchOptions, MaintenanceEvent, MetadataSwitches, World } from './world/state.ts';
import { putParameter } from './world/systems-manager.ts';
import {
  ensureDefinition,
  findDefinition,
  needActiveDefinition,
  registerDefinition,
  type DefinitionOptions,
} from './world/task-definitions.ts';
import { startTask, stopTask } from './world/tasks.ts';

export interface Verbs {
  /** Launches an instance outside any group; resolves when its metadata service answers. */
  launch(options?: LaunchOptions): Promise<Instance>;
  /** Resolves when `desired` instances of the group run and their metadata services answer. */
  scaleTo(group: string, desired: number): Promise<Instance[]>;
  setDesiredCapacity(group: string, desired: number): void;
  /** Terminates one member as an operator would: the hooks run. */
  terminateInGroup(instanceId: string, decrement?: boolean): void;
  /** Terminates the instance at once, without hooks, as a spot reclaim or the EC2 console does. */
  terminate(instanceId: string): void;
  /** Behaves as if the machine had powered itself off. */
  powerOff(instanceId: string): void;
  stop(instanceId: string): void;
  start(instanceId: string): void;
  protect(instanceId: string, on?: boolean): void;
  putHook(group: string, hook: HookOptions): void;
  deleteHook(group: string, name: string): void;

  /**
   * False: it has ended at once, as it does where there is no such cluster, or no role. An agent
   * that has lost its checkpoint registers anew.
   */
  startEcsAgent(instanceId: string, cluster: string, hasCheckpoint?: boolean): boolean;
  stopEcsAgent(instanceId: string): void;
  /** Sets the health of Docker that the ECS agent reports; the agent stays connected. */
  setRuntimeHealth(instanceId: string, health: 'OK' | 'IMPAIRED'): void;
  /** Cuts the running agent's connection to ECS; `lost: false` restores it. */
  disconnectEcsAgent(instanceId: string, lost?: boolean): void;
  createCluster(name: string): void;
  /**
   * Makes a capacity provider of the group, and associates it with the cluster. ECS has nodes
   * outside it that registered before.
   */
  createCapacityProvider(cluster: string, name: string, group: string): void;
  createService(cluster: string, service: ServiceOptions): void;
  /** Starts a deployment that stays in progress until `endDeployment`. */
  beginDeployment(cluster: string, service: string): void;
  endDeployment(cluster: string, service: string, rollout?: 'COMPLETED' | 'FAILED'): void;
  /** Does the same as deleting the service: it becomes DRAINING, and ECS stops its tasks. */
  retireService(cluster: string, service: string): void;
  /** Lets Application Auto Scaling control the size of the service. */
  registerScalableTarget(cluster: string, service: string, min: number, max: number): void;
  /** Runs a task that belongs to no service. Returns its ARN. */
  runTask(cluster: string, instanceId: string, task?: TaskOptions): string;
  /** Turns on ECS's task protection for two hours; `on: false` turns it off. */
  protectTask(cluster: string, taskArn: string, on?: boolean): void;
  /** Ends the task as if its container had exited. */
  endTask(cluster: string, taskArn: string, reason?: string): void;
  /** Registers the family's next revision. Returns its ARN. */
  registerTaskDefinition(family: string, definition?: DefinitionOptions): string;
  /** Deregisters one revision: ECS starts no more tasks from it. */
  deregisterTaskDefinition(name: string): void;

  /** Sends the notice now, and reclaims the instance after two minutes. */
  noticeSpot(instanceId: string, action?: 'terminate' | 'stop' | 'hibernate', inMs?: number): void;
  /** Announces it in the metadata service only; nothing follows. */
  claimSpot(instanceId: string, action?: 'terminate' | 'stop' | 'hibernate', inMs?: number): void;
  withdrawSpot(instanceId: string): void;
  recommendRebalance(instanceId: string, on?: boolean): void;
  scheduleMaintenance(instanceId: string, event: Partial<MaintenanceEvent> & { code: string }): string;
  endMaintenance(instanceId: string, eventId: string, state: 'completed' | 'canceled'): void;
  setTargetState(instanceId: string, state: string | undefined): void;
  setMetadata(instanceId: string, switches: Partial<MetadataSwitches>): Promise<void>;
  setPolicy(instanceId: string, policy: unknown): void;

  createTargetGroup(name: string, options?: { port?: number; deregistrationDelaySeconds?: number }): string;
  createLoadBalancer(name: string, options?: { drainingSeconds?: number }): void;
  putParameter(name: string, value: string, type?: 'String' | 'StringList' | 'SecureString'): void;
  deleteParameter(name: string): void;
  createBucket(name: string): void;
  putObject(bucket: string, key: string, text: string): void;
  deleteObject(bucket: string, key: string): void;
  /** Sets a tag as a person at the console does. */
  setTag(instanceId: string, key: string, value: string): void;
}

/** The behaviour of the instances' machines; the world holds the rest. */
export interface Machines {
  /** Resolves when the instance runs and its metadata service answers. */
  booted(instance: Instance): Promise<void>;
  startEcsAgent(instance: Instance, cluster: string, hasCheckpoint: boolean | undefined): boolean;
  stopEcsAgent(instance: Instance): void;
  /** Switches the metadata service on or off, as the instance's switches say. */
  refresh(instance: Instance): Promise<void>;
}

export function openVerbs(world: World, machines: Machines): Verbs {
  return {
    ...lifeVerbs(world, machines),
    ...clusterVerbs(world, machines),
    ...noticeVerbs(world, machines),
    createTargetGroup: (name, options) => createTargetGroup(world, name, options).arn,
    createLoadBalancer: (name, { drainingSeconds } = {}) => void createLoadBalancer(world, name, drainingSeconds),
    ...storeVerbs(world),
  };
}

function storeVerbs(world: World) {
  return {
    putParameter: (name, value, type) => void putParameter(world, name, value, type),
    deleteParameter: (name) => void world.parameters.delete(name),
    createBucket: (name) => createBucket(world, name),
    putObject: (bucket, key, text) => void putObject(world, bucket, key, text),
    deleteObject: (bucket, key) => void world.buckets.get(bucket)?.delete(key),
    setTag: (id, key, value) => void findInstance(world, id).tags.set(key, value),
  } satisfies Partial<Verbs>;
}

const byOperator = 'Client.UserInitiatedShutdown: User initiated shutdown';

function lifeVerbs(world: World, machines: Machines) {
  const find = (id: string) => findInstance(world, id);
  const scaleTo = async (name: string, desired: number) => {
    const group = findGroup(world, name);
    setDesiredCapacity(world, group, desired);
    for (;;) {
      const alive = [...group.members.keys()]
        .map((id) => world.instances.get(id)!)
        .filter((each) => each && isAlive(each));
      if (alive.length >= desired) {
        await Promise.all(alive.map((instance) => machines.booted(instance)));
        return alive;
      }
      await new Promise<void>((resolve) => void world.clock.after(20, resolve));
    }
  };
  return {
    async launch(options) {
      const instance = launchInstance(world, options);
      await machines.booted(instance);
      return instance;
    },
    scaleTo,
    setDesiredCapacity: (name, desired) => setDesiredCapacity(world, findGroup(world, name), desired),
    terminateInGroup: (id, decrement = false) => void terminateMember(world, id, decrement),
    terminate: (id) => endInstance(world, find(id), byOperator),
    powerOff: (id) => powerOff(world, find(id)),
    stop: (id) => stopInstance(world, find(id), byOperator),
    start: (id) => startInstance(world, find(id)),
    protect(id, on = true) {
      find(id).disableApiTermination = on;
    },
    putHook: (name, hook) => putHook(world, findGroup(world, name), hook),
    deleteHook: (name, hook) => void findGroup(world, name).hooks.delete(hook),
  } satisfies Partial<Verbs>;
}

function clusterVerbs(world: World, machines: Machines) {
  return {
    startEcsAgent: (id, cluster, hasCheckpoint) =>
      machines.startEcsAgent(findInstance(world, id), cluster, hasCheckpoint),
    stopEcsAgent: (id) => machines.stopEcsAgent(findInstance(world, id)),
    disconnectEcsAgent(id, lost = true) {
      const located = findByInstance(world, id);
      if (located) setConnected(world, located.cluster, located.instance, !lost);
    },
    setRuntimeHealth(id, health) {
      const located = findByInstance(world, id);
      if (located) located.instance.runtimeHealth = health;
    },
    createCluster: (name) => void createCluster(world, name),
    createCapacityProvider(cluster, name, group) {
      createCapacityProvider(world, name, findGroup(world, group).arn);
      findCluster(world, cluster).capacityProviders.push(name);
    },
    createService: (cluster, service) => void createService(world, findCluster(world, cluster), service),
    ...serviceVerbs(world),
    runTask(name, id, { family = 'batch', stopMs, ...size } = {}) {
      const cluster = findCluster(world, name);
      const containerInstance = cluster.byInstance.get(id);
      if (!containerInstance) throw new Error(`${id} is not registered in ${name}`);
      const definition = findDefinition(world, family) ?? ensureDefinition(world, family, size);
      const request = { containerInstance, definition, group: `family:${family}`, ...size, stopMs };
      return startTask(world, cluster, request).arn;
    },
    protectTask(name, arn, on = true) {
      const task = findCluster(world, name).tasks.get(arn);
      if (task) task.protectedUntil = on ? world.clock.now() + 7_200_000 : undefined;
    },
    endTask(name, arn, reason = 'Essential container in task exited') {
      const cluster = findCluster(world, name);
      const task = cluster.tasks.get(arn);
      if (!task) throw new Error(`there is no task ${arn} in ${name}`);
      stopTask(world, cluster, task, reason, 'EssentialContainerExited');
    },
    registerTaskDefinition: (family, options) => registerDefinition(world, family, options).arn,
    deregisterTaskDefinition: (name) => void (needActiveDefinition(world, name).status = 'INACTIVE'),
  } satisfies Partial<Verbs>;
}

function serviceVerbs(world: World) {
  const find = (clusterName: string, name: string) => {
    const cluster = findCluster(world, clusterName);
    const service = cluster.services.get(name);
    if (!service) throw new Error(`there is no service ${name} in ${clusterName}`);
    return { cluster, service };
  };
  return {
    beginDeployment: (cluster, name) => beginDeployment(world, find(cluster, name).service),
    endDeployment: (cluster, name, rollout = 'COMPLETED') => endDeployment(find(cluster, name).service, rollout),
    retireService(clusterName, name) {
      const { cluster, service } = find(clusterName, name);
      service.status = 'DRAINING';
      service.desired = 0;
      schedule(world, cluster);
    },
    registerScalableTarget: (cluster, name, min, max) =>
      registerScalableTarget(world, `service/${cluster}/${name}`, min, max),
  } satisfies Partial<Verbs>;
}

/** AWS gives two minutes. */
const spotNoticeMs = 120_000;

function noticeVerbs(world: World, machines: Machines) {
  const find = (id: string) => findInstance(world, id);
  return {
    noticeSpot: (id, action = 'terminate', inMs = spotNoticeMs) => noticeSpot(world, find(id), action, inMs),
    claimSpot: (id, action = 'terminate', inMs = spotNoticeMs) => claimSpot(world, find(id), action, inMs),
    withdrawSpot: (id) => withdrawSpot(world, find(id)),
    recommendRebalance: (id, on = true) => recommendRebalance(world, find(id), on),
    scheduleMaintenance: (id, event) => scheduleMaintenance(world, find(id), event),
    endMaintenance: (id, eventId, state) => endMaintenance(world, find(id), eventId, state),
    setTargetState: (id, state) => setTargetState(world, find(id), state),
    async setMetadata(id, switches) {
      const instance = find(id);
      Object.assign(instance.metadata, switches);
      await machines.refresh(instance);
    },
    setPolicy(id, policy) {
      if (policy !== undefined) parsePolicy(policy);
      find(id).policy = policy;
    },
  } satisfies Partial<Verbs>;
}
