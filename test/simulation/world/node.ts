/**
 * One machine of the simulation: its fakes, and what is true about it whatever its program
 * believes.
 */

import type { Host, LocalAgent } from '../../../core/host.ts';
import type { Identity } from '../../../core/identity.ts';
import { openLog } from '../../../core/log.ts';
import { guardRecords } from '../../../host/aws/ecs/own-records.ts';
import { openBalancerCloud, someBalancer, type FakeBalancers } from '../../fakes/cloud/balancers.ts';
import { openClusterCloud, type FakeContainerInstance } from '../../fakes/cloud/cluster.ts';
import { openFakeGroup, openGroupCloud, someHook, type FakeGroup } from '../../fakes/cloud/group.ts';
import { emptyInstance, openInstanceCloud, type FakeInstance } from '../../fakes/cloud/instance.ts';
import { installerProgram, installerUrl, openOpsWorksCloud } from '../../fakes/cloud/opsworks.ts';
import { openDocker, someDocker, type FakeDocker } from '../../fakes/docker.ts';
import { emptyMachine, openMachine, type FakeMachine } from '../../fakes/machine.ts';
import { emptyMetadata, openMetadata, someIdentity, type FakeMetadata } from '../../fakes/metadata.ts';
import { begin, type Cause, type Reason } from '../faults/causes.ts';
import type { Disk } from './disk.ts';
import { expose, openNodeClock, type Process, type Conditions } from '../effects.ts';
import { note, type Region } from './region.ts';

export interface Node {
  id: string;
  identity: Identity;
  instance: FakeInstance;
  machine: FakeMachine;
  docker: FakeDocker;
  metadata: FakeMetadata;
  group: FakeGroup | undefined;
  /** The warm pool that it waits in, or is on its way to. */
  pool: 'Stopped' | 'Running' | undefined;
  /** In which it is a target. */
  balancers: FakeBalancers;
  localAgent: LocalAgent | undefined;
  /** Nobody reaches its introspection API. */
  portClosed: boolean;
  /** Of EC2. */
  phase: 'booting' | 'up' | 'stopping' | 'gone';
  launchedAt: number;
  bootedAt: number;
  boots: number;
  /** How often its power went off. */
  halts: number;
  wallOffset: number;
  bootstrap: Process | undefined;
  agent: Process | undefined;
  /** How the bootstrap ended last in this boot; undefined while it runs. */
  bootstrapExit: number | 'killed' | undefined;
  agentStartedAt: number;
  logLines: number;
  disk: Disk;
  /** What brings its Docker back, while that is dead. */
  dockerCure: 'restart' | 'time' | 'never' | undefined;
  /** Of its ECS agent. */
  illness: { cure: 'restart' | 'time' | 'never'; dead: boolean } | undefined;
  truth: Truth;
}

/** What happened to a node, for the invariants. */
export interface Truth {
  /** Why it may leave: planted faults, notices, orders of people. */
  causes: Map<Reason, Cause>;
  /** What the node did to end itself. */
  ended: string | undefined;
  /** What ended the instance. */
  death: string | undefined;
  /** When its ECS agent was connected last, and since when. */
  connectedAt: number | undefined;
  connectedSince: number | undefined;
  /** When any call of it went wrong last. */
  faultAt: number;
  /** ECS was told to place tasks, or none, by a call that it had given up long before. */
  overtaken: boolean;
  /** Since when it is DRAINING, and whether for nothing but its disk. */
  drainingSince: number | undefined;
  drainedForDisk: boolean;
  /** Notices that are not obeyed yet, since when. */
  pending: Map<Reason, number>;
  /** Its disk refused to keep a departure, which a reboot forgets then. */
  forgetful: boolean;
  /** Lifecycle actions that it completed. */
  completed: Set<string>;
  /** When the storm guard held it last. */
  heldAt: number | undefined;
  /** What it was told of the group's history, and when. */
  activitiesSeen: { at: number; young: number } | undefined;
  /** When a call to OpsWorks went wrong last. */
  opsworksTroubleAt: number;
  /** When the metadata told it first of its rebalance recommendation. */
  rebalanceHeardAt: number | undefined;
  /** When its wall clock jumped last. */
  jumpedAt: number;
  /** Since when it leaves, as it has written down. */
  leavingSince: number | undefined;
  /** For what, and since when for that. */
  leavingFor: { cause: string; since: number } | undefined;
  /** When it began to leave its registrar. */
  registrarAt: number;
  /** When a call to a load balancer went wrong last. */
  elbTroubleAt: number;
  /** How often clearing termination protection has no effect. */
  stubborn: number;
  /** Since when termination protection is on. */
  protectedSince: number | undefined;
  /** The boot whose bootstrap's success was judged. */
  judgedBoot: number;
  /** What others wrote into ecs.config. */
  foreignEcsConfig: string;
}

export function openNode(region: Region, number: number): Node {
  const { chance, scenario, clock } = region;
  const id = `i-${(0xabc000 + number).toString(16).padStart(17, '0')}`;
  const identity: Identity = {
    ...someIdentity,
    instanceId: id,
    privateIp: `10.0.0.${number}`,
    hostname: `ip-10-0-0-${number}`,
    purchase: scenario.spot ? 'spot' : 'on-demand',
  };
  const instance = emptyInstance();
  if (region.scenario.fullTags)
    instance.tags = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`tag-${i}`, '']));
  instance.clearsIgnored = chance.happens(0.2) ? chance.whole(1, 2) : 0;
  const machine = emptyMachine();
  machine.archives.set(installerUrl, { 'opsworks-agent-installer/boot-registration': '#!/bin/sh\n' });
  const foreign = chance.pick([
    '',
    'ECS_CLUSTER=default\n',
    '# by hand\nECS_IMAGE_PULL_BEHAVIOR=once\n',
    'ECS_CLUSTER=old\r\nA=b\r\n',
  ]);
  if (foreign !== '') machine.files.set('/etc/ecs/ecs.config', foreign);
  const node: Node = {
    id,
    identity,
    instance,
    machine,
    docker: someDocker(),
    metadata: { ...emptyMetadata(identity), now: clock.now },
    group: undefined,
    pool: undefined,
    balancers: openBalancers(region),
    localAgent: undefined,
    portClosed: region.inconsistency?.chance.happens(0.1) === true,
    phase: 'booting',
    launchedAt: clock.uptime(),
    bootedAt: clock.uptime(),
    boots: 0,
    halts: 0,
    wallOffset: chance.happens(0.1) ? chance.between(-3_600_000, 3_600_000) : 0,
    bootstrap: undefined,
    agent: undefined,
    bootstrapExit: undefined,
    agentStartedAt: 0,
    logLines: 0,
    disk: { used: 0, images: 0, inodes: false },
    dockerCure: undefined,
    illness: undefined,
    truth: {
      causes: new Map(),
      ended: undefined,
      death: undefined,
      connectedAt: undefined,
      connectedSince: undefined,
      faultAt: -Infinity,
      overtaken: false,
      drainingSince: undefined,
      drainedForDisk: false,
      pending: new Map(),
      forgetful: false,
      completed: new Set(),
      heldAt: undefined,
      activitiesSeen: undefined,
      opsworksTroubleAt: -Infinity,
      rebalanceHeardAt: undefined,
      jumpedAt: -Infinity,
      leavingSince: undefined,
      leavingFor: undefined,
      registrarAt: Infinity,
      elbTroubleAt: -Infinity,
      stubborn: instance.clearsIgnored,
      protectedSince: undefined,
      judgedBoot: 0,
      foreignEcsConfig: foreign,
    },
  };
  machine.programs.set('/boot-registration', openInstaller(region, node));
  if (scenario.hasGroup) node.group = openOwnGroup(region, node);
  return node;
}

function openBalancers({ scenario, chance }: Region): FakeBalancers {
  const { targetGroups, loadBalancers } = scenario.config.leave;
  const open = (name: string) => [name, someBalancer(chance.around(60_000))] as const;
  return { targetGroups: new Map(targetGroups.map(open)), loadBalancers: new Map(loadBalancers.map(open)) };
}

/** Fails once now and then, and always where that was planted. */
function openInstaller(region: Region, node: Node) {
  const { opsworks, planted } = region.scenario;
  const real = installerProgram(opsworks, node.machine, node.instance, node.id, region.fakeClock);
  const isHere = node.identity.purchase !== 'spot';
  return async (...given: Parameters<typeof real>) => {
    if (planted === 'the installer fails') return { code: 1, tail: 'rubygems.org: 503' };
    const exit = await real(...given);
    // EC2 does not protect spot instances.
    if (!isHere)
      region.clock.schedule(opsworks.protectsAfterMs + 1, () => void (node.instance.terminationProtection = false));
    return exit;
  };
}

/** The group as this instance sees it: the same name, hooks and history for all. */
function openOwnGroup(region: Region, node: Node): FakeGroup {
  const { scenario, chance, clock } = region;
  const group = openFakeGroup(region.fakeClock, node.instance, 'web');
  group.activities = region.activities;
  const seconds = { heartbeatSeconds: chance.pick([120, 600, 3600]), globalSeconds: 12 * 3600 };
  if (scenario.launchHook) group.hooks.push(someHook('ecs-node-launch', 'launch', seconds));
  if (scenario.terminateHook) group.hooks.push(someHook('ecs-node-terminate', 'terminate', seconds));
  group.hookLagMs = chance.pick([0, 0, 3_000]);
  const beginReal = group.begin.bind(group);
  let transitions = 0;
  group.begin = (transition) => {
    beginReal(transition);
    note(region, node, `Auto Scaling begins: ${transition}`);
    if (transition === 'terminate' && node.truth.ended === undefined && !node.truth.causes.has('scale-in'))
      begin(node, 'hook timed out', clock.uptime());
    const turn = ++transitions;
    // Metadata may be ahead of the group, or late; but what has been overtaken never shows
    // afterwards.
    const launched = node.pool === undefined ? 'InService' : `Warmed:${node.pool}`;
    const target = transition === 'launch' ? launched : 'Terminated';
    clock.schedule(chance.between(0, 3_000), () => {
      if (turn === transitions) node.metadata.targetState = target;
    });
  };
  return group;
}

export function ownInstance(region: Region, node: Node): FakeContainerInstance | undefined {
  // Asked several times after each event: without a closure for each.
  for (const instance of region.cluster.instances)
    if (instance.ec2InstanceId === node.id && instance.status !== 'INACTIVE') return instance;
  return undefined;
}

/**
 * An agent that is started again, or that another order takes over, knows from the disk alone, in
 * wall time, for how long it has waited; and the wall clock has jumped.
 */
export function mistakesItsWait({ truth, agentStartedAt }: Node, since: number | undefined): boolean {
  const readAt = Math.max(agentStartedAt, truth.leavingFor?.since ?? -Infinity);
  return since !== undefined && since < truth.jumpedAt && truth.jumpedAt < readAt;
}

/** What a program on this node is given. */
export function openHost(region: Region, node: Node, process: Process, conditions: Conditions): Host {
  const { fakeClock } = region;
  return {
    identity: node.identity,
    metadata: expose(openMetadata(node.metadata), 'metadata', process, conditions),
    machine: expose(openMachine(node.machine), 'machine', process, conditions),
    ecsAgent: expose(openEcsAgent(region, node), 'introspection', process, conditions),
    docker: expose(openDocker(node.docker), 'machine', process, conditions),
    cloud: guardRecords({
      ...expose(
        openInstanceCloud(node.instance, () => node.metadata),
        'ec2',
        process,
        conditions,
      ),
      ...expose(
        openGroupCloud(() => node.group, node.instance, fakeClock),
        'autoscaling',
        process,
        conditions,
      ),
      ...expose(openClusterCloud(region.cluster, node.id, fakeClock), 'ecs', process, conditions),
      ...expose(openBalancerCloud(node.balancers, fakeClock), 'elb', process, conditions),
      ...expose(openOpsWorksCloud(region.scenario.opsworks, node.id, fakeClock), 'opsworks', process, conditions),
      ...expose(
        { readPing: async () => ping(region, node), readDocuments: async () => [] },
        'ssm',
        process,
        conditions,
      ),
      ...expose({ publish: async () => {} }, 'cloudwatch', process, conditions),
      close: async () => {},
    }),
    clock: openNodeClock(process, conditions, () => node.wallOffset, node.bootedAt),
    log: openLog(({ level, message, fields }) => {
      node.logLines += 1;
      if (level !== 'debug') region.trace.add(region.clock.uptime(), node.id, `  log: ${message}`, fields);
    }, region.clock.now),
  };
}

function ping(region: Region, node: Node): string | undefined {
  return region.clock.uptime() - node.bootedAt >= region.scenario.pingAfterMs ? 'Online' : undefined;
}

function openEcsAgent({ cluster }: Region, node: Node): Host['ecsAgent'] {
  const agentNow = () => (node.portClosed ? undefined : node.localAgent);
  return {
    async readAgent() {
      const agent = agentNow();
      return agent && { ...agent };
    },
    async readTasks() {
      const arn = agentNow()?.containerInstanceArn;
      if (arn === undefined) return undefined;
      return cluster.tasks
        .filter((task) => task.containerInstanceArn === arn)
        .map(({ arn: task, family, version, desiredStatus, knownStatus, lastStatus }) => ({
          arn: task,
          family,
          version,
          desiredStatus,
          knownStatus: knownStatus ?? (lastStatus === 'STOPPING' ? 'RUNNING' : lastStatus),
        }));
    },
  };
}
