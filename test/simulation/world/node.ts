/**
 * One machine of the simulation: its fakes, and the truth about it, whatever its program believes.
 */

import type { Host, LocalAgent } from '../../../core/host.ts';
import type { Identity } from '../../../core/identity.ts';
import { openLog } from '../../../core/log.ts';
import { guardRecords } from '../../../host/aws/ecs/own-records.ts';
import { openOutbox } from '../../../upkeep/events/outbox.ts';
import { openBalancerCloud, someBalancer, type FakeBalancers } from '../../fakes/cloud/balancers.ts';
import { openClusterCloud, type FakeContainerInstance } from '../../fakes/cloud/cluster.ts';
import { openFakeGroup, openGroupCloud, someHook, type FakeGroup } from '../../fakes/cloud/group.ts';
import { emptyInstance, openInstanceCloud, type FakeInstance } from '../../fakes/cloud/instance.ts';
import { installerProgram, installerUrl, openOpsWorksCloud } from '../../fakes/cloud/opsworks.ts';
import { openDocker, someDocker, type FakeDocker } from '../../fakes/docker.ts';
import { emptyMachine, openMachine, type FakeMachine } from '../../fakes/machine.ts';
import { emptyMetadata, openMetadata, someIdentity, type FakeMetadata } from '../../fakes/metadata.ts';
import { groupTag } from '../../../upkeep/group-tag.ts';
import { begin, type Cause, type Reason } from '../faults/causes.ts';
import type { Disk } from './disk.ts';
import { openEventBus } from './event-bus.ts';
import type { Service } from '../faults/fault-injector.ts';
import { expose, openNodeClock, type Call, type Process, type Conditions } from '../effects.ts';
import { openConfiguration, type NodeConfiguration } from './node-configuration.ts';
import { note, type Region } from './region.ts';
import { containersOf } from './task-ports.ts';

export interface Node {
  id: string;
  identity: Identity;
  instance: FakeInstance;
  machine: FakeMachine;
  docker: FakeDocker;
  metadata: FakeMetadata;
  group: FakeGroup | undefined;
  /** The warm pool in which it waits, or to which it is moving. */
  pool: 'Stopped' | 'Running' | undefined;
  /** The load balancers of which it is a target. */
  balancers: FakeBalancers;
  localAgent: LocalAgent | undefined;
  /** True if its introspection API cannot be reached. */
  portClosed: boolean;
  /** EC2's state of the instance. */
  phase: 'booting' | 'up' | 'stopping' | 'gone';
  launchedAt: number;
  bootedAt: number;
  boots: number;
  /** The number of times that its power failed. */
  halts: number;
  wallOffset: number;
  bootstrap: Process | undefined;
  agent: Process | undefined;
  /** The last exit of each program in this boot; undefined while it runs. */
  bootstrapExit: number | 'killed' | undefined;
  agentExit: number | 'killed' | undefined;
  agentStartedAt: number;
  logLines: number;
  disk: Disk;
  /** The event that revives its Docker, while Docker is dead. */
  dockerCure: 'restart' | 'time' | 'never' | undefined;
  /** The fault of its ECS agent. */
  illness: { cure: 'restart' | 'time' | 'never'; dead: boolean } | undefined;
  /** Present only in lives in which it changes. */
  configuration: NodeConfiguration | undefined;
  truth: Truth;
}

/** The events of a node, for the invariants. */
export interface Truth {
  /** The reasons why it may leave: planted faults, notices, operators' orders. */
  causes: Map<Reason, Cause>;
  /** The node's own call that ended it. */
  ended: string | undefined;
  /** The cause of the instance's end. */
  death: string | undefined;
  /** When its ECS agent was last connected, and below since when it has been connected. */
  connectedAt: number | undefined;
  connectedSince: number | undefined;
  /** When a call of the node last failed, or its answer was not true. */
  faultAt: number;
  /** The same, without the answers about an order that is false beside a true one. */
  failedAt: number;
  /** The true order beside the false one. */
  trueOrder: Reason | undefined;
  /** Since when no departure is confirmed, by its own state file; undefined while one is. */
  unconfirmedSince: number | undefined;
  /** True if a call that the node had given up long before still changed its state in ECS. */
  overtaken: boolean;
  overtakenAt: number;
  /** True once the node has called ECS to drain it. */
  wasDrained: boolean;
  /** Since when it is DRAINING, and below whether its disk is the only reason. */
  drainingSince: number | undefined;
  drainedForDisk: boolean;
  /** Notices that the node has not yet obeyed, with their time. */
  pending: Map<Reason, number>;
  /**
   * Since when its disk has refused to store a departure. It ends when the same process has written
   * the departure; a kill or a reboot before that forgets it.
   */
  forgetfulSince: number | undefined;
  /** True while its disk refuses the status of the agent; the file then tells of an older one. */
  hasOldStatus: boolean;
  /** True if its agent has started with such a file. */
  startedWithOldStatus: boolean;
  /** The lifecycle actions that it completed. */
  completed: Set<string>;
  /** When the storm guard last made it wait. */
  heldAt: number | undefined;
  /** The group's history as last returned to the node, with the time. */
  activitiesSeen: { at: number; young: number } | undefined;
  /** When a call to OpsWorks last failed. */
  opsworksTroubleAt: number;
  /** Uptime of the last untrue answer of Auto Scaling. */
  groupLieAt: number;
  /** When Auto Scaling lied to it for the first time. */
  groupLieSince: number;
  /** Uptime of the last untrue answer of ECS. */
  ecsLieAt: number;
  /** When EC2, or a list of its tags, was last untrue. Such an answer keeps a node in service. */
  denialLieAt: number;
  /** The node has seen a sign, true or not, that a person holds it. */
  wasHeld: boolean;
  /** The ids of maintenance events that an operator overruled. */
  overruled: Set<string>;
  /** When the metadata service first returned its rebalance recommendation. */
  rebalanceHeardAt: number | undefined;
  /** When its wall clock last jumped. */
  jumpedAt: number;
  /** Since when it leaves, by its own state file. */
  leavingSince: number | undefined;
  /** The cause for which it leaves, and since when for this cause. */
  leavingFor: { cause: string; since: number } | undefined;
  /** When it began to leave its registrar. */
  registrarAt: number;
  /** When a call to a load balancer last failed. */
  elbTroubleAt: number;
  /** How many attempts to clear termination protection have no effect. */
  stubborn: number;
  /** Since when termination protection is on. */
  protectedSince: number | undefined;
  /** The boot whose successful bootstrap the invariants have judged. */
  judgedBoot: number;
  /** The lines of other programs in ecs.config. */
  foreignEcsConfig: string;
  /** When the node last received EC2's word about its spot request. */
  spotAnsweredAt: number;
  /** The things that AWS has said to be this instance's. */
  said: Said;
  /** The calls that its role was not allowed for a while, and when AWS last refused them. */
  refused: Map<string, number>;
  /** When a container last damaged its files. */
  damagedAt: number;
  /** When it last wrote its metrics to a file. */
  textfileAt: number;
  /** When exactly one daemon task last ran, and since when the node is in service. */
  daemonAt: number;
  inServiceSince: number | undefined;
  /** When the invariant looks at its chores again. */
  choresDueAt: number;
  /** When it last published its metrics. */
  publishedAt: number;
}

export interface Said {
  /** ARNs of container instances. */
  records: Set<string>;
  tasks: Set<string>;
  groups: Set<string>;
  /** Systems Manager has said that it sees the node. */
  online: boolean;
  /** When ECS said that the ECS agent is connected, unless it has said otherwise since. */
  connectedAt: number | undefined;
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
  const instance = { ...emptyInstance(), now: clock.now };
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
    agentExit: undefined,
    agentStartedAt: 0,
    logLines: 0,
    disk: { used: 0, images: 0, inodes: false },
    dockerCure: undefined,
    illness: undefined,
    configuration: scenario.reloads === true ? openConfiguration(scenario.config, machine) : undefined,
    truth: {
      causes: new Map(),
      ended: undefined,
      wasDrained: false,
      death: undefined,
      connectedAt: undefined,
      connectedSince: undefined,
      faultAt: -Infinity,
      failedAt: -Infinity,
      trueOrder: undefined,
      unconfirmedSince: -Infinity,
      overtaken: false,
      overtakenAt: -Infinity,
      drainingSince: undefined,
      drainedForDisk: false,
      pending: new Map(),
      forgetfulSince: undefined,
      hasOldStatus: false,
      startedWithOldStatus: false,
      completed: new Set(),
      heldAt: undefined,
      activitiesSeen: undefined,
      opsworksTroubleAt: -Infinity,
      groupLieAt: -Infinity,
      groupLieSince: Infinity,
      ecsLieAt: -Infinity,
      denialLieAt: -Infinity,
      wasHeld: false,
      overruled: new Set(),
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
      spotAnsweredAt: -Infinity,
      said: { records: new Set(), tasks: new Set(), groups: new Set(), online: false, connectedAt: undefined },
      refused: new Map(),
      publishedAt: -Infinity,
      damagedAt: -Infinity,
      textfileAt: -Infinity,
      daemonAt: -Infinity,
      inServiceSince: undefined,
      choresDueAt: -Infinity,
    },
  };
  machine.programs.set('/boot-registration', openInstaller(region, node));
  if (scenario.hasGroup) node.group = openOwnGroup(region, node);
  return node;
}

/** Notes a fault, after which everything may come later. */
export function noteFault({ truth }: Node, now: number): void {
  truth.faultAt = now;
  truth.failedAt = now;
}

function openBalancers({ scenario, chance }: Region): FakeBalancers {
  const { targetGroups, loadBalancers } = scenario.config.leave;
  const open = (name: string) => [name, someBalancer(chance.around(60_000))] as const;
  return { targetGroups: new Map(targetGroups.map(open)), loadBalancers: new Map(loadBalancers.map(open)) };
}

/** OpsWorks always refuses the installer if the scenario planted this. */
function openInstaller(region: Region, node: Node) {
  const { opsworks, planted } = region.scenario;
  const real = installerProgram(opsworks, node.machine, node.instance, node.id, region.fakeClock);
  const isHere = node.identity.purchase !== 'spot';
  return async (...given: Parameters<typeof real>) => {
    if (planted === 'OpsWorks refuses the installer')
      return { code: 1, tail: 'Aws::OpsWorks::Errors::ValidationException: the stack takes no such instance' };
    const exit = await real(...given);
    // EC2 does not protect spot instances.
    if (!isHere)
      region.clock.schedule(opsworks.protectsAfterMs + 1, () => void (node.instance.terminationProtection = false));
    return exit;
  };
}

/** The group from this instance's view; all instances share its name, hooks and history. */
function openOwnGroup(region: Region, node: Node): FakeGroup {
  const { scenario, chance, clock } = region;
  const group = openFakeGroup(region.fakeClock, node.instance, 'web');
  group.activities = region.activities;
  node.instance.tags[groupTag] = group.name;
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
    // The metadata service can be ahead of the group, or late. A value that was superseded never
    // appears afterwards.
    const launched = node.pool === undefined ? 'InService' : `Warmed:${node.pool}`;
    const target = transition === 'launch' ? launched : 'Terminated';
    clock.schedule(chance.between(0, 3_000), () => {
      if (turn === transitions) node.metadata.targetState = target;
    });
  };
  return group;
}

export function ownInstance(region: Region, node: Node): FakeContainerInstance | undefined {
  // Runs several times after each event, so it creates no closure for each run.
  for (const instance of region.cluster.instances)
    if (instance.ec2InstanceId === node.id && instance.status !== 'INACTIVE') return instance;
  return undefined;
}

/**
 * True if the agent was restarted, or took over another order, after a jump of the wall clock. It
 * then knows its waiting time only from the disk, in wall time.
 */
export function mistakesItsWait({ truth, agentStartedAt }: Node, since: number | undefined): boolean {
  const readAt = Math.max(agentStartedAt, truth.leavingFor?.since ?? -Infinity);
  return since !== undefined && since < truth.jumpedAt && truth.jumpedAt < readAt;
}

/**
 * A node that the group told that no hook waits asks once more (agent/joining/unfinished-hook.ts):
 * at the earliest, and at the latest with the time for its calls.
 */
const leastAskAgainMs = 600_000;
export const askedAgainMs = 1_200_000 + 120_000;

/** True if Auto Scaling lied to the node so long that it may have lied to the second question. */
export function mayBeDeceivedTwice({ truth }: Node): boolean {
  return truth.groupLieAt - truth.groupLieSince >= leastAskAgainMs;
}

/** The verbs of each service, as they answer this node without any fault. */
function openVerbs(region: Region, node: Node) {
  const { fakeClock, scenario, cluster } = region;
  return {
    metadata: () => openMetadata(node.metadata),
    introspection: () => openEcsAgent(region, node),
    ec2: () => openInstanceCloud(node.instance, () => node.metadata),
    autoscaling: () => openGroupCloud(() => node.group, node.instance, fakeClock),
    ecs: () => openClusterCloud(cluster, node.id, fakeClock),
    elb: () => openBalancerCloud(node.balancers, fakeClock),
    opsworks: () => openOpsWorksCloud(scenario.opsworks, node.id, fakeClock),
    ssm: () => ({ readPing: async () => ping(region, node), readDocuments: async () => [] }),
    cloudwatch: () => ({ publish: async () => {} }),
  } satisfies Partial<Record<Service, () => object>>;
}

/** The same call as another node makes it: the answer about another instance. */
export function askForAnother(region: Region, { process, service, verb, args }: Call): (() => unknown) | undefined {
  const other = region.nodes.find(({ id, phase }) => id !== process.node && phase === 'up');
  if (other === undefined || service === 'machine') return undefined;
  const ask = (openVerbs(region, other)[service]() as Record<string, (...given: unknown[]) => unknown>)[verb];
  return ask === undefined ? undefined : () => ask(...args, process.stop.signal);
}

/** Makes the host that a program on this node gets. */
export function openHost(region: Region, node: Node, process: Process, conditions: Conditions): Host {
  const verbs = openVerbs(region, node);
  const machine = openMachine(node.machine, () => process.alive);
  const host = {
    identity: node.identity,
    metadata: expose(verbs.metadata(), 'metadata', process, conditions),
    machine: expose(machine, 'machine', process, conditions),
    ecsAgent: expose(verbs.introspection(), 'introspection', process, conditions),
    docker: expose(openDocker(node.docker), 'machine', process, conditions),
    cloud: guardRecords({
      ...expose(verbs.ec2(), 'ec2', process, conditions),
      ...expose(verbs.autoscaling(), 'autoscaling', process, conditions),
      ...expose(verbs.ecs(), 'ecs', process, conditions),
      ...expose(verbs.elb(), 'elb', process, conditions),
      ...expose(verbs.opsworks(), 'opsworks', process, conditions),
      ...expose(verbs.ssm(), 'ssm', process, conditions),
      ...expose(verbs.cloudwatch(), 'cloudwatch', process, conditions),
      putEvent: openEventBus(region, node),
      close: async () => {},
    }),
    clock: openNodeClock(process, conditions, () => node.wallOffset, node.bootedAt),
    log: openLog(({ level, message, fields }) => {
      node.logLines += 1;
      // A full disk takes no state, and the node waits all the same.
      if (message === 'held by the storm guard') node.truth.heldAt = region.clock.uptime();
      if (message === 'left alone') node.truth.wasHeld = true;
      if (node.configuration !== undefined && message === 'configuration not taken over')
        node.configuration.toldAt = region.clock.uptime();
      if (level !== 'debug') region.trace.add(region.clock.uptime(), node.id, `  log: ${message}`, fields);
    }, region.clock.now),
  };
  // Its files and questions draw no faults, so that lives are the same with and without events.
  const quiet = { ...host, machine, metadata: openMetadata(node.metadata) };
  const { cluster, events } = region.scenario.config;
  return { ...host, events: openOutbox(quiet, { cluster, bus: events.bus, random: () => 0.5 }) };
}

function ping(region: Region, node: Node): string | undefined {
  return region.clock.uptime() - node.bootedAt >= region.scenario.pingAfterMs ? 'Online' : undefined;
}

function openEcsAgent({ cluster, scenario }: Region, node: Node): Host['ecsAgent'] {
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
          ...(scenario.config.ports.enabled && { containers: containersOf(task) }),
        }));
    },
  };
}
