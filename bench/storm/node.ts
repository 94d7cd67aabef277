/** One machine of a storm: its fakes, and the effects of other programs on it. */

import { guardRecords } from '../../host/aws/ecs/own-records.ts';
import type { Cloud, Host, LocalAgent } from '../../core/host.ts';
import type { Log } from '../../core/log.ts';
import { openBalancerCloud } from '../../test/fakes/cloud/balancers.ts';
import {
  openClusterCloud,
  type FakeCluster,
  type FakeContainerInstance,
  type FakeTask,
} from '../../test/fakes/cloud/cluster.ts';
import { openFakeGroup, openGroupCloud, someHook, type FakeGroup } from '../../test/fakes/cloud/group.ts';
import { emptyInstance, openInstanceCloud, type FakeInstance } from '../../test/fakes/cloud/instance.ts';
import { installerProgram, installerUrl, openOpsWorksCloud } from '../../test/fakes/cloud/opsworks.ts';
import { openDocker, someDocker, type FakeDocker } from '../../test/fakes/docker.ts';
import { emptyMachine, openMachine, type FakeMachine } from '../../test/fakes/machine.ts';
import { emptyMetadata, openMetadata, someIdentity, type FakeMetadata } from '../../test/fakes/metadata.ts';
import { groupTag } from '../../upkeep/group-tag.ts';
import { callsOf, maxActivityPages, type Verb } from './calls.ts';
import { openClient, own, ruby, type Client } from './client.ts';
import { since, type World } from './world.ts';

/** One run of one of ecs-node's programs, from its start to its end. */
export interface Process {
  alive: boolean;
  /** Aborts as systemd's SIGTERM does. */
  stop: AbortController;
}

export interface StormNode {
  id: string;
  number: number;
  instance: FakeInstance;
  machine: FakeMachine;
  docker: FakeDocker;
  metadata: FakeMetadata;
  group: FakeGroup;
  localAgent: LocalAgent | undefined;
  containerInstance: FakeContainerInstance | undefined;
  tasks: FakeTask[];
  phase: 'booting' | 'up' | 'stopping' | 'gone';
  process: { bootstrap?: Process | undefined; agent?: Process | undefined };
  inServiceAt: number | undefined;
  /** EC2 terminates it: a spot reclaim. */
  doomed: boolean;
}

export function openStormNode(world: World, onEnd: (node: StormNode) => void): StormNode {
  const number = world.nodes.length + 1;
  const id = `i-${number.toString(16).padStart(17, '0')}`;
  const identity = {
    ...someIdentity,
    instanceId: id,
    hostname: `ip-10-${number >> 8}-${number & 255}`,
    purchase: 'spot',
  };
  const instance = emptyInstance();
  const machine = emptyMachine();
  machine.archives.set(installerUrl, { 'opsworks-agent-installer/boot-registration': '#!/bin/sh\n' });
  const group = openFakeGroup(world.fakeClock, instance, 'web');
  const node: StormNode = {
    id,
    number,
    instance,
    machine,
    docker: someDocker(),
    metadata: emptyMetadata(identity),
    group,
    localAgent: undefined,
    containerInstance: undefined,
    tasks: [],
    phase: 'booting',
    process: {},
    inServiceAt: undefined,
    doomed: false,
  };
  machine.programs.set('/boot-registration', openInstaller(world, node));
  prepareGroup(world, node);
  whenSet(instance, 'state', 'shutting-down', () => onEnd(node));
  whenSet(machine, 'power', 'off', () => onEnd(node));
  return node;
}

/**
 * Calls back when a property is set. Checking 10,000 machines after every event would take almost
 * all the CPU time.
 */
export function whenSet<T extends object, K extends keyof T>(target: T, key: K, wanted: T[K], act: () => void): void {
  let value = target[key];
  Object.defineProperty(target, key, {
    get: () => value,
    set(next: T[K]) {
      const changed = next !== value;
      value = next;
      if (changed && next === wanted) act();
    },
  });
}

function prepareGroup(world: World, node: StormNode): void {
  const { group, instance, metadata, id } = node;
  metadata.tags = { [groupTag]: group.name };
  instance.tags[groupTag] = group.name;
  group.activities = world.activities;
  for (const transition of ['launch', 'terminate'] as const) {
    const heartbeatSeconds = world.hookSeconds[transition];
    group.hooks.push(
      someHook(`ecs-node-${transition}`, transition, { heartbeatSeconds, globalSeconds: heartbeatSeconds * 100 }),
    );
  }
  const begin = group.begin.bind(group);
  group.begin = (kind) => {
    world.activities.push({ kind, instanceId: id, at: world.clock.now(), succeeded: true });
    begin(kind);
    const target = kind === 'launch' ? 'InService' : 'Terminated';
    world.clock.schedule(1_000, () => void (metadata.targetState = target));
  };
  whenSet(group, 'lifecycleState', 'InService', () => {
    node.inServiceAt = since(world);
    world.inService.push(node.inServiceAt);
  });
}

/** The installer's RegisterInstance is a call to OpsWorks too. */
function openInstaller(world: World, node: StormNode) {
  const { opsworks, clock, fakeClock, wire, flaw } = world;
  const real = installerProgram(opsworks, node.machine, node.instance, node.id, fakeClock);
  return async (...given: Parameters<typeof real>) => {
    const [, signal] = given;
    if (flaw === 'installer fails') return { code: 1, tail: 'Aws::OpsWorks::Errors::ValidationException: no' };
    try {
      await openClient(wire, ruby, clock.sleep).call('opsworks:RegisterInstance', signal);
    } catch (error) {
      signal.throwIfAborted();
      return { code: 1, tail: `Aws::OpsWorks::Errors::ThrottlingException: Rate exceeded (${String(error)})` };
    }
    return real(...given);
  };
}

const silence = () => {};

export function openStormHost(world: World, node: StormNode, process: Process): Host {
  const clock = openClock(world, node, process);
  const client = openClient(world.wire, own, (ms, signal) => world.clock.sleepWhile(() => process.alive, ms, signal));
  return {
    identity: node.metadata.identity,
    metadata: openMetadata(node.metadata),
    // The output of thousands of nodes over hours would fill the memory, so the fake drops it.
    machine: { ...openMachine(node.machine), say: async () => {}, notify: async () => {} },
    ecsAgent: {
      readAgent: async () => node.localAgent,
      readTasks: async () => readLocalTasks(node),
    },
    docker: openDocker(node.docker),
    cloud: openCloud(world, node, client),
    // A storm is about the calls that a node waits for, and it waits for no event.
    events: { tell: silence, resume: silence, close: async () => {} },
    clock,
    log: openQuietLog(world, node),
  };
}

/**
 * The metadata watchers' interval of two seconds with its jitter; no other sleep in a storm has
 * this length.
 */
const pollMs = [1_600, 2_000] as const;

/**
 * The intervals at which an agent in service checks whether it must join again, sends systemd its
 * watchdog signal, and refreshes its status.
 */
const idleMs: ReadonlySet<number> = new Set([5_000, 30_000, 60_000]);

/**
 * The same for a node that can never join: the watchdog signal for systemd, and the refresh of its
 * status.
 */
const heldMs: ReadonlySet<number> = new Set([3_000, 30_000, 60_000]);

/** A dead process never wakes. */
function openClock(world: World, node: StormNode, process: Process): Host['clock'] {
  const { clock } = world;
  const isAlive = () => process.alive;
  const waits = (ms: number) =>
    (ms >= pollMs[0] && ms <= pollMs[1]) ||
    (idleMs.has(ms) && node.inServiceAt !== undefined && !node.doomed) ||
    (heldMs.has(ms) && world.flaw !== 'none');
  return {
    now: clock.now,
    uptime: clock.uptime,
    sleep: (ms, signal) => clock.sleepWhile(isAlive, waits(ms) ? ms * world.slowness : ms, signal),
    schedule: (ms, act) => clock.schedule(ms, () => void (process.alive && act())),
  };
}

function openQuietLog(world: World, node: StormNode): Log {
  const log: Log = {
    debug: silence,
    info: silence,
    warn(message) {
      if (message === 'held by the storm guard') world.held.push({ at: since(world), id: node.id });
    },
    error: silence,
    with: () => log,
  };
  return log;
}

function readLocalTasks({ localAgent, tasks }: StormNode) {
  if (localAgent === undefined) return undefined;
  return tasks.map(({ arn, family, version, desiredStatus, lastStatus }) => ({
    arn,
    family,
    version,
    desiredStatus,
    knownStatus: lastStatus === 'STOPPING' ? 'RUNNING' : lastStatus,
  }));
}

function openCloud(world: World, node: StormNode, client: Client): Cloud {
  const { fakeClock, cluster, opsworks } = world;
  const { instance, group, id } = node;
  const verbs = {
    ...openInstanceCloud(instance, () => ({ spotNotice: undefined, maintenance: [] })),
    ...openGroupCloud(() => group, instance, fakeClock),
    ...openClusterCloud(ownView(world, node), id, fakeClock),
    readClusterHealth: openClusterCloud(cluster, id, fakeClock).readClusterHealth,
    ...openQueue(world, node),
    ...openBalancerCloud({ targetGroups: new Map(), loadBalancers: new Map() }, fakeClock),
    ...openOpsWorksCloud(opsworks, id, fakeClock),
    readPing: async () => (node.phase === 'up' ? 'Online' : undefined),
    publish: async () => {},
    putEvent: async () => {},
  };
  const limited = Object.entries(verbs).map(([verb, effect]) => [
    verb,
    limit(verb as Verb, effect as (...given: unknown[]) => Promise<unknown>, client),
  ]);
  return guardRecords({ ...Object.fromEntries(limited), close: async () => {} } as Cloud);
}

function limit(verb: Verb, effect: (...given: unknown[]) => Promise<unknown>, client: Client) {
  const calls = callsOf[verb];
  return async (...given: unknown[]) => {
    if (calls === undefined) throw new Error(`bench/storm/calls.ts does not list the calls of ${verb}`);
    const signal = given.at(-1) as AbortSignal;
    const args = given.slice(0, -1);
    for (const action of calls.first(args)) await client.call(action, signal);
    const result = await effect(...given);
    for (const action of calls.after?.(result, args) ?? []) await client.call(action, signal);
    // AWS lists the newest activities first, and the product reads only this many pages.
    return verb === 'readActivities' ? (result as unknown[]).slice(-100 * maxActivityPages) : result;
  };
}

/**
 * Limits the cluster to the node's own entries. Searching ten thousand nodes at each call would
 * take almost all the CPU time.
 */
function ownView({ cluster }: World, node: StormNode): FakeCluster {
  return {
    ...cluster,
    get instances() {
      return node.containerInstance === undefined ? [] : [node.containerInstance];
    },
    get tasks() {
      return node.tasks;
    },
  };
}

/** The leave queue, limited to nodes that have ever joined it. */
function openQueue(world: World, node: StormNode): Pick<Cloud, 'readLeaveQueue' | 'queueToLeave'> {
  const { cluster, queued, fakeClock } = world;
  const own = openClusterCloud(ownView(world, node), node.id, fakeClock);
  const inQueue = {
    ...cluster,
    get instances() {
      return [...queued];
    },
  };
  return {
    readLeaveQueue: openClusterCloud(inQueue, node.id, fakeClock).readLeaveQueue,
    async queueToLeave(...given) {
      await own.queueToLeave(...given);
      queued.add(node.containerInstance!);
    },
  };
}
