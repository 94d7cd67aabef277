/** A seed's life: one configuration, one region, and the severity of its faults. */

import { parseConfig, type Config } from '../../config/config.ts';
import { someOpsWorks, type FakeOpsWorks } from '../fakes/cloud/opsworks.ts';
import { openChance, type Chance } from './faults/chance.ts';
import type { Inconsistency } from './faults/inconsistency.ts';

export interface Scenario {
  config: Config;
  opsworks: FakeOpsWorks;
  /** The reason why no node of this region can ever bootstrap; undefined if they can. */
  planted: string | undefined;
  /** True if the configuration of the nodes changes. */
  reloads?: boolean;
  /** True if the nodes have chores. */
  chores?: boolean;
  /** The calls that the role does not allow. */
  denied: string[];
  /** The code with which AWS refuses those calls; default: a missing permission. */
  refusalCode?: string;
  /** True if the group has propagated as many tags as an instance can have. */
  fullTags?: boolean;
  nodes: number;
  /** Systems Manager lists a node this long after its boot. */
  pingAfterMs: number;
  spot: boolean;
  hasGroup: boolean;
  launchHook: boolean;
  terminateHook: boolean;
  /** The warm pool in which nodes wait until the group needs them. */
  warmPool: 'Stopped' | 'Running' | undefined;
  /** True if the metadata service contains the group's name. */
  showsGroup?: boolean;
  /**
   * When the cluster gets a capacity provider for the group. ECS has nodes outside it that
   * registered before.
   */
  providerAfterMs?: number | undefined;
  /** The share of calls that fail without an outage. */
  daily: number;
  /** The average time between two outages; below the same for accidents and notices. */
  troubleEveryMs: number;
  accidentEveryMs: number;
  noticeEveryMs: number;
  /** The average time until a disk fills or an ECS agent fails. */
  ailmentEveryMs: number;
  /**
   * The factor by which short sleeps are longer, for machines with little CPU, and for quick
   * simulations.
   */
  slowness: number;
  /**
   * How long all this lasts. Afterwards the region is calm, and every node must reach its end
   * state.
   */
  stormyMs: number;
}

const minute = 60_000;

export function drawScenario(chance: Chance): Scenario {
  const config = drawConfig(chance);
  const opsworks = drawOpsWorks(chance);
  const half = config.bootstrap.timeoutSeconds * 500;
  const pingAfterMs = chance.around(15_000);
  const planted = chance.happens(0.25) ? plant(config, opsworks, chance) : undefined;
  if (planted === undefined || optional.includes(planted)) limitTimes(opsworks, config);
  const wild = chance.happens(0.5);
  const hasGroup = chance.happens(0.9);
  return {
    config,
    opsworks,
    planted,
    denied: chance.happens(0.1) ? [chance.pick(deniable)] : [],
    nodes: chance.happens(0.6) ? 1 : chance.whole(2, 6),
    pingAfterMs: planted === neverSeen ? Infinity : Math.min(pingAfterMs, half * 0.8),
    spot: chance.happens(0.3),
    hasGroup,
    launchHook: hasGroup && config.autoScaling.launchHook !== undefined,
    terminateHook: hasGroup && config.autoScaling.terminateHook !== undefined,
    warmPool: hasGroup && chance.happens(0.12) ? chance.pick(['Stopped', 'Running'] as const) : undefined,
    daily: chance.pick(wild ? [0, 0.02, 0.1, 0.3] : [0, 0, 0.01]),
    troubleEveryMs: wild ? chance.between(1, 10) * minute : 60 * minute,
    accidentEveryMs: wild ? chance.between(1, 20) * minute : 60 * minute,
    noticeEveryMs: chance.between(5, 60) * minute,
    ailmentEveryMs: chance.between(3, 40) * minute,
    slowness: chance.pick([1, 5, 15, 15, 30, 30]),
    stormyMs: chance.between(5, 40) * minute,
  };
}

/**
 * An outage can take half of the bootstrap's time, so an answering registrar must need less than
 * that.
 */
function limitTimes(opsworks: FakeOpsWorks, { bootstrap }: Config): void {
  const mostMs = bootstrap.timeoutSeconds * 400;
  opsworks.registersAfterMs = Math.min(opsworks.registersAfterMs, mostMs);
  opsworks.setupTakesMs = Math.min(opsworks.setupTakesMs, mostMs);
}

/** Keeps these draws apart from those of the life and of its anomalies. */
const salt = 0x9120_0f1e;

/** The shortest hook that a node of this region can have. */
const shortestHookSeconds = 120;

/**
 * Adds the knowledge that saves calls to Auto Scaling. It draws from a stream of its own, so that a
 * seed without it keeps its life.
 */
export function addKnowledge(scenario: Scenario, seed: number): Scenario {
  const chance = openChance(seed ^ salt);
  const { config, launchHook } = scenario;
  const isTold = chance.happens(0.5) && launchHook;
  // A group without hooks, which the configuration does not say.
  const byDefault = chance.happens(0.5);
  const autoScaling = {
    ...config.autoScaling,
    ...(byDefault && { launchHook: 'ecs-node-launch', terminateHook: 'ecs-node-terminate' }),
    ...(isTold && { launchHookSeconds: shortestHookSeconds }),
  };
  const showsGroup = chance.happens(0.5);
  const registration = chance.happens(0.5) ? { required: true } : {};
  const isOptional = registration.required !== true && optional.includes(scenario.planted ?? '');
  return {
    ...scenario,
    showsGroup,
    planted: isOptional ? undefined : scenario.planted,
    refusalCode: chance.pick(['AccessDenied', 'AccessDenied', 'ClientException', 'InvalidParameterException']),
    fullTags: chance.happens(0.1),
    providerAfterMs: scenario.hasGroup && chance.happens(0.4) ? chance.between(0, 5 * minute) : undefined,
    config: { ...config, autoScaling, registration },
  };
}

export const neverSeen = 'Systems Manager never sees it';

/** These planted faults terminate no node, unless `registration.required` is set. */
const optional = [neverSeen, 'its recipes fail'];

/** In some lives with anomalies, any one further permission is missing. */
export function denyMore({ denied }: Scenario, { chance }: Inconsistency): void {
  if (chance.happens(0.15)) denied.push(chance.pick(deniableToo));
}

/** Calls that the bootstrap or the agent needs. */
export const deniableToo = [
  'readHooks',
  'heartbeat',
  'completeHook',
  'terminateInGroup',
  'reportUnhealthy',
  'readContainerInstance',
  'readClusterHealth',
  'readCapacityProvider',
  'deregisterContainerInstance',
  'readTasks',
  'stopTask',
  'drain',
  'activate',
  'readLeaveQueue',
  'queueToLeave',
  'unqueue',
  'readUnsteadyServices',
  'deregisterTarget',
  'isTargetDraining',
  'deregisterFromLoadBalancer',
  'isLoadBalancerDraining',
  'readLayer',
  'readProvisioning',
  'suggestHostname',
  'findRegistration',
  'readRegistration',
  'assign',
  'unassign',
  'deregister',
  'readPing',
  'terminateSelf',
];

/** Calls that the node can do without. */
export const deniable = [
  'tagSelf',
  'readTerminationProtection',
  'clearTerminationProtection',
  'readMembership',
  'readActivities',
  'readStack',
  'publish',
];

function plant(config: Config, opsworks: FakeOpsWorks, chance: Chance): string | undefined {
  if (config.registrar === 'none') return undefined;
  if (config.registrar === 'ssm') return neverSeen;
  const bad = chance.pick(['registersAs', 'setup', 'installer']);
  if (bad === 'registersAs') {
    opsworks.registersAs = chance.pick(['registering', 'stopped', 'setup_failed', 'a state of the future']);
    return `OpsWorks leaves it ${opsworks.registersAs}`;
  }
  if (bad === 'setup' && config.opsworks.waitForOnline) {
    opsworks.setupEndsAs = 'setup_failed';
    return 'its recipes fail';
  }
  return 'OpsWorks refuses the installer';
}

function drawOpsWorks(chance: Chance): FakeOpsWorks {
  return {
    ...someOpsWorks(),
    installerTakesMs: chance.around(15_000),
    registersAfterMs: chance.around(40_000),
    setupTakesMs: chance.around(60_000),
    unassignTakesMs: chance.around(20_000),
    deregisterTakesMs: chance.around(10_000),
    protectsAfterMs: chance.around(chance.pick([2_000, 20_000, 200_000])),
    listingLagMs: chance.pick([0, 0, 5_000, 40_000]),
  };
}

const targetGroup = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef';

const maybe = (chance: Chance, probability: number, settings: object): object =>
  chance.happens(probability) ? settings : {};

function drawConfig(chance: Chance): Config {
  const registrar = chance.pick(['opsworks', 'opsworks', 'opsworks', 'ssm', 'none']);
  const pollSeconds = chance.pick([1, 2, 2, 10, 30]);
  const firstWaitSeconds = chance.whole(10, 120);
  return parseConfig({
    cluster: 'demo',
    registrar,
    ...maybe(chance, 0.3, { hostname: '{cluster}-{shortId}' }),
    ...maybe(chance, 0.2, { name: chance.pick(['', '{cluster} {group} {zone}']) }),
    ...maybe(chance, 0.5, { ecs: { settings: { ECS_RESERVED_MEMORY: 256, ECS_LOGLEVEL: 'warn' } } }),
    opsworks: {
      stack: chance.pick(['demo', '11111111-1111-4111-8111-111111111111']),
      layer: 'ecs',
      waitForOnline: chance.happens(0.5),
    },
    bootstrap: {
      timeoutSeconds: chance.pick([180, 300, 600]),
      ...maybe(chance, 0.2, { onFailure: 'keep' }),
    },
    stormGuard: {
      maxFailures: chance.whole(1, 4),
      windowSeconds: chance.whole(300, 3600),
      firstWaitSeconds,
      maxWaitSeconds: firstWaitSeconds * chance.whole(1, 6),
    },
    ...maybe(chance, 0.15, { terminationProtection: 'keep' }),
    ...maybe(chance, 0.8, {
      spot: { pollSeconds: pollSeconds },
      rebalance: {
        action: chance.pick(['log', 'drain']),
        pollSeconds: 5 * pollSeconds,
        undoSeconds: chance.pick([120, 600]),
      },
    }),
    maintenance: {
      action: chance.pick(['leave', 'leave', 'log']),
      pollSeconds: 60,
      leadSeconds: chance.pick([60, 600, 7200]),
    },
    disk: {
      checkSeconds: chance.pick([10, 60]),
      checks: chance.whole(1, 4),
      prune: chance.happens(0.7),
      leave: chance.happens(0.8),
      maxLeavingPercent: chance.pick([10, 34, 50]),
    },
    ecsAgent: {
      action: chance.pick(['replace', 'replace', 'restart', 'log']),
      pollSeconds: 30,
      patienceSeconds: chance.pick([60, 300]),
      restarts: chance.whole(0, 2),
      maxDisconnectedPercent: chance.pick([30, 60]),
    },
    docker: {
      action: chance.pick(['replace', 'replace', 'restart'] as const),
      pollSeconds: chance.pick([10, 30]),
      patienceSeconds: chance.pick([60, 300]),
      restarts: chance.pick([0, 1, 2]),
    },
    leave: {
      drainSeconds: chance.pick([60, 300, 900]),
      atDeadline: chance.pick(['stop-tasks', 'stop-tasks', 'leave-tasks']),
      ...maybe(chance, 0.2, { targetGroups: [targetGroup], deregistrationSeconds: chance.pick([30, 300]) }),
      ...maybe(chance, 0.2, { loadBalancers: ['classic'] }),
      ...maybe(chance, 0.2, { steadyClusterSeconds: chance.pick([60, 600]) }),
    },
    events: { bus: 'default' },
    join: { timeoutSeconds: chance.pick([120, 300]) },
    metrics: { enabled: chance.happens(0.5), everySeconds: 300 },
    autoScaling: {
      pollSeconds,
      launchHook: chance.happens(0.7) ? 'ecs-node-launch' : '',
      terminateHook: chance.happens(0.7) ? 'ecs-node-terminate' : '',
    },
  });
}
