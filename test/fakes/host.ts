/** A whole world in memory around one node: a Host for unit tests, and the state behind it. */

import { Refused } from '../../core/errors.ts';
import type { BusEvent, Cloud, Host, LocalAgent, LocalTask, Metric } from '../../core/host.ts';
import { guardRecords } from '../../host/aws/ecs/own-records.ts';
import type { Identity } from '../../core/identity.ts';
import { openLog, type Entry } from '../../core/log.ts';
import { openOutbox } from '../../upkeep/events/outbox.ts';
import { openCalls, never, type Area, type Calls, type Process } from './calls.ts';
import { openFakeClock, type FakeClock } from './clock.ts';
import { openBalancerCloud, type FakeBalancers } from './cloud/balancers.ts';
import { openConfigurationCloud, type FakeDocumentSources } from './cloud/configuration.ts';
import { openClusterCloud, openFakeCluster, type FakeCluster, type FakeContainerInstance } from './cloud/cluster.ts';
import { groupTag } from '../../upkeep/group-tag.ts';
import { openFakeGroup, openGroupCloud, type FakeGroup } from './cloud/group.ts';
import { emptyInstance, openInstanceCloud, type FakeInstance } from './cloud/instance.ts';
import {
  installerProgram,
  installerUrl,
  openOpsWorksCloud,
  someOpsWorks,
  type FakeOpsWorks,
} from './cloud/opsworks.ts';
import { openDocker, someDocker, type FakeDocker } from './docker.ts';
import { emptyMachine, openMachine, type FakeMachine } from './machine.ts';
import { emptyMetadata, openMetadata, someIdentity, type FakeMetadata } from './metadata.ts';

export interface World {
  identity: Identity;
  clock: FakeClock;
  calls: Calls;
  metadata: FakeMetadata;
  machine: FakeMachine;
  docker: FakeDocker;
  instance: FakeInstance;
  /** Undefined if the instance is in no Auto Scaling group. */
  group: FakeGroup | undefined;
  cluster: FakeCluster;
  balancers: FakeBalancers;
  opsworks: FakeOpsWorks;
  systemsManager: { ping: string | undefined };
  published: { namespace: string; metrics: Metric[] }[];
  /** The events that EventBridge has accepted. */
  events: (BusEvent & { bus: string })[];
  /** The value of `events.bus`, for the next process. */
  bus: string | undefined;
  documentSources: FakeDocumentSources;
  /** The introspection API's answer; undefined if no agent listens. */
  localAgent: LocalAgent | undefined;
  log: Entry[];
  /**
   * Registers the ECS agent: introspection answers, and ECS has an ACTIVE, connected container
   * instance.
   */
  joinCluster(): FakeContainerInstance;
  /** Puts the instance into a group, InService. */
  joinGroup(name?: string): FakeGroup;
  /** Kills this process, and returns the host of a new one over the same world. */
  restart(): Host;
  /** The same as `restart`, with a new boot id and an empty /run. */
  reboot(): Host;
}

export interface Overrides {
  identity?: Partial<Identity>;
  cluster?: string;
  startsAt?: number;
  /** The setting `events.bus`. */
  bus?: string | undefined;
}

export function openFakeHost(overrides: Overrides = {}): { host: Host; world: World; clock: FakeClock } {
  const clock = openFakeClock(overrides.startsAt);
  // The metadata service's clock does not jump with the node's clock.
  const trueOffset = clock.now() - clock.uptime();
  const calls = openCalls(clock);
  const identity = { ...someIdentity, ...overrides.identity };
  const instance = emptyInstance();
  const machine = emptyMachine();
  const opsworks = someOpsWorks();
  machine.archives.set(installerUrl, { 'opsworks-agent-installer/boot-registration': '#!/bin/sh\n' });
  machine.programs.set(
    '/opsworks-agent-installer/boot-registration',
    installerProgram(opsworks, machine, instance, identity.instanceId, clock),
  );
  let boots = 1;

  const world: World = {
    identity,
    clock,
    calls,
    metadata: { ...emptyMetadata(identity), now: () => clock.uptime() + trueOffset },
    machine,
    docker: someDocker(),
    instance,
    group: undefined,
    cluster: openFakeCluster(overrides.cluster ?? 'demo'),
    balancers: { targetGroups: new Map(), loadBalancers: new Map() },
    opsworks,
    systemsManager: { ping: undefined },
    published: [],
    events: [],
    bus: overrides.bus,
    documentSources: new Map(),
    localAgent: undefined,
    log: [],
    joinCluster() {
      const own = world.cluster.addInstance({ ec2InstanceId: identity.instanceId });
      world.localAgent = { cluster: world.cluster.name, containerInstanceArn: own.arn, version: '1.106.1' };
      return own;
    },
    joinGroup(name) {
      world.group = openFakeGroup(clock, instance, name);
      const { instanceId } = identity;
      world.group.activities.push({ kind: 'launch', instanceId, at: clock.now() - clock.uptime(), succeeded: true });
      return world.group;
    },
    restart: () => openProcess(world, calls.start(), wrap),
    reboot() {
      machine.bootId = `boot-${++boots}`;
      for (const path of machine.files.keys()) if (path.startsWith('/run/')) machine.files.delete(path);
      return world.restart();
    },
  };
  const wrap: Wrap = (area, verbs, process) => calls.wrap(area, verbs, process);
  return { host: openProcess(world, calls.process(), wrap), world, clock };
}

type Wrap = <T extends object>(area: Area, verbs: T, process: Process) => T;

function openProcess(world: World, process: Process, wrap: Wrap): Host {
  const { clock, identity } = world;
  const host: Omit<Host, 'events'> = {
    identity,
    metadata: wrap('metadata', openMetadata(world.metadata), process),
    machine: wrap(
      'machine',
      openMachine(world.machine, () => process.alive),
      process,
    ),
    ecsAgent: wrap('ecsAgent', openEcsAgent(world), process),
    docker: wrap('docker', openDocker(world.docker), process),
    cloud: guardRecords(wrap('cloud', openCloud(world), process)),
    clock: {
      now: clock.now,
      uptime: clock.uptime,
      // A dead process never wakes.
      sleep: (ms, signal) =>
        clock.sleep(ms, AbortSignal.any([signal, process.death.signal])).catch((error: unknown) => {
          if (!process.alive) return never<void>();
          throw error;
        }),
      schedule: (ms, act) => clock.schedule(ms, () => void (process.alive && act())),
    },
    log: openLog((entry) => void world.log.push(entry), clock.now),
  };
  return { ...host, events: openOutbox(host, { cluster: world.cluster.name, bus: world.bus }) };
}

function openEcsAgent(world: World): Host['ecsAgent'] {
  return {
    readAgent: async () => (world.localAgent === undefined ? undefined : { ...world.localAgent }),
    async readTasks() {
      const arn = world.localAgent?.containerInstanceArn;
      if (arn === undefined) return undefined;
      return world.cluster.tasks
        .filter(({ containerInstanceArn, unlisted }) => containerInstanceArn === arn && unlisted !== true)
        .map((task): LocalTask => ({
          arn: task.unnamed === true ? '' : task.arn,
          family: task.family,
          version: task.version,
          desiredStatus: task.desiredStatus,
          // The agent only knows RUNNING and STOPPED; a task between them still runs for it.
          knownStatus: task.knownStatus ?? (task.lastStatus === 'STOPPING' ? 'RUNNING' : task.lastStatus),
          containers: task.containers ?? [],
        }));
    },
  };
}

function openCloud(world: World): Cloud {
  const { clock, identity } = world;
  return {
    ...openInstanceCloud(world.instance, () => world.metadata),
    // Auto Scaling tags each member of a group.
    readOwnTags: async () => ({ ...(world.group && { [groupTag]: world.group.name }), ...world.instance.tags }),
    ...openGroupCloud(() => world.group, world.instance, clock),
    ...openClusterCloud(world.cluster, identity.instanceId, clock),
    ...openBalancerCloud(world.balancers, clock),
    ...openOpsWorksCloud(world.opsworks, identity.instanceId, clock),
    readPing: async () => world.systemsManager.ping,
    ...openConfigurationCloud(world.documentSources),
    publish: async (namespace, metrics) => void world.published.push({ namespace, metrics: [...metrics] }),
    async putEvent(bus, event) {
      // As EventBridge refuses an entry that is too large.
      if (Buffer.byteLength(JSON.stringify(event)) > 256_000)
        throw new Refused('too large', { code: 'InvalidArgument' });
      world.events.push({ bus, ...event });
    },
    close: async () => {},
  };
}
