import { paths } from '../../../../core/state/state.ts';
import { lasting, reasons } from '../../faults/causes.ts';
import { askedAgainMs, mayBeDeceivedTwice, ownInstance, type Node } from '../../world/node.ts';
import type { Region } from '../../world/region.ts';
import type { Invariant } from '../invariant.ts';
import { registersAnew } from '../registers-anew-once.ts';

const minute = 60_000;

/** Work that a missing permission can leave undone, until the node tries again. */
interface Work {
  what: string;
  isOpen(region: Region, node: Node): boolean;
  /** The product's longest pause before it tries again, and the time that the work takes. */
  withinMs(region: Region): number;
}

const works: readonly Work[] = [
  {
    what: 'the bootstrap is not done',
    isOpen: ({ scenario }, { bootstrap }) => bootstrap !== undefined && scenario.planted === undefined,
    // hold.ts: a refused bootstrap waits at most a quarter of an hour.
    withinMs: ({ scenario: { config } }) => 15 * minute + config.bootstrap.timeoutSeconds * 1000 + 2 * minute,
  },
  {
    what: 'the launch hook is not completed',
    isOpen({ scenario, clock }, node) {
      const isWaiting = node.group?.hooks.some(
        ({ name, active }) => active && name === scenario.config.autoScaling.launchHook,
      );
      // A group that said InService or Terminating may have let the node believe it.
      const isTold = clock.uptime() - node.truth.groupLieAt < askedAgainMs || mayBeDeceivedTwice(node);
      return (
        isWaiting === true && !isTold && isInService(node) && reasons(node, clock.uptime(), 60 * minute).length === 0
      );
    },
    // unfinished-hook.ts
    withinMs: () => 15 * minute + 2 * minute,
  },
  {
    what: 'the terminate hook is not completed',
    isOpen({ scenario, clock }, node) {
      const isWaiting = node.group?.hooks.some(
        ({ name, active }) => active && name === scenario.config.autoScaling.terminateHook,
      );
      const hasLeft = isDone(node) && node.truth.leavingSince !== undefined;
      return isWaiting === true && hasLeft && clock.uptime() - node.truth.groupLieAt > 60 * minute;
    },
    // hook.ts tries for a quarter of an hour, and ended before only if AWS refused for that long.
    withinMs: () => 10 * minute,
  },
  {
    what: 'it is not drained',
    isOpen: (region, node) =>
      isInService(node) &&
      (lasting(node, 'drain-only', region.clock.uptime()) ?? 0) > 10 * minute &&
      ownInstance(region, node)?.status === 'ACTIVE',
    withinMs: () => 10 * minute,
  },
  {
    what: 'it is still DRAINING',
    isOpen: (region, node) =>
      isInService(node) &&
      ownInstance(region, node)?.status === 'DRAINING' &&
      !node.truth.overtaken &&
      node.truth.forgetfulSince === undefined &&
      registersAnew(node) !== 'draining' &&
      reasons(node, region.clock.uptime(), 60 * minute).length === 0,
    withinMs: () => 15 * minute,
  },
  {
    what: 'it has not left',
    isOpen: ({ clock }, node) =>
      node.agent !== undefined &&
      node.phase === 'up' &&
      reasons(node, clock.uptime(), 0).some((reason) => reason === 'operator' || reason === 'scale-in'),
    withinMs({ scenario: { config } }) {
      const { drainSeconds, deregistrationSeconds, steadyClusterSeconds } = config.leave;
      return (drainSeconds + deregistrationSeconds + steadyClusterSeconds) * 1000 + 45 * minute;
    },
  },
  {
    what: 'it is still in the leave queue',
    isOpen(region, node) {
      const own = ownInstance(region, node);
      const isQueued = own !== undefined && own.status === 'ACTIVE' && own.attributes.size > 0;
      return isQueued && isInService(node) && reasons(node, region.clock.uptime(), 60 * minute).length === 0;
    },
    withinMs: () => 15 * minute,
  },
  {
    what: 'it has published no metrics',
    isOpen: ({ scenario, clock }, node) =>
      scenario.config.metrics.enabled &&
      node.agent !== undefined &&
      node.phase === 'up' &&
      clock.uptime() - node.truth.publishedAt > metricsMs(scenario.config.metrics.everySeconds),
    withinMs: ({ scenario }) => metricsMs(scenario.config.metrics.everySeconds),
  },
];

/** One round later than planned, and its calls. */
function metricsMs(everySeconds: number): number {
  return 2 * everySeconds * 1000 + minute;
}

/**
 * By its own file, the node has left, and not because its patience was over. A departure that only
 * drained the node completes no hook (leave.ts).
 */
function isDone({ machine, phase }: Node): boolean {
  const text = machine.files.get(paths.departure);
  if (phase !== 'up' || typeof text !== 'string' || text.includes('"ending": "remain"')) return false;
  return text.includes('"phase": "done"') && !text.includes('not within');
}

function isInService({ agent, phase, localAgent, portClosed, bootstrapExit, truth }: Node): boolean {
  const isRunning = agent !== undefined && phase === 'up' && bootstrapExit === 0;
  return isRunning && (localAgent !== undefined || portClosed) && truth.connectedSince !== undefined;
}

export const refusedIsDone: Invariant = {
  name: 'refused is done',
  sentence: 'Work that AWS refused is done within a bounded time after the permission returns.',
  afterCall({ clock }, { truth }, { verb }) {
    if (verb === 'publish') truth.publishedAt = clock.uptime();
    return undefined;
  },
  afterEvent(region, node) {
    const { truth } = node;
    if (truth.refused.size === 0 || region.scenario.denied.length > 0) return undefined;
    const now = region.clock.uptime();
    const ms = now - quietSince(region, node);
    // Nothing is due earlier.
    if (ms < 10 * minute) return undefined;
    const open = works.find((work) => ms > work.withinMs(region) && work.isOpen(region, node));
    if (open === undefined) return undefined;
    return `${open.what}, ${Math.round(ms / 1000)} s after all permissions returned (${[...truth.refused.keys()].join()})`;
  },
};

/** Since when the role has all permissions again, and nothing else has kept the node from work. */
function quietSince({ faults, clock }: Region, node: Node): number {
  const { truth, agentStartedAt, bootedAt } = node;
  const returned = [...truth.refused.keys()].map((verb) => faults.allowedSince(verb));
  const connected = node.machine.files.has(paths.agent) ? (truth.connectedSince ?? clock.uptime()) : 0;
  return Math.max(truth.faultAt, agentStartedAt, bootedAt, connected, ...returned);
}
