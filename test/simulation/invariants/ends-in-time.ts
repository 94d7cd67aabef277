import { paths } from '../../../core/state/state.ts';
import { reasons, type Reason } from '../faults/causes.ts';
import { ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

export const endsInTime: Invariant = {
  name: 'ends in time',
  sentence:
    'Once it is calm each node is in service, or gone if it was told to, or held by the storm guard, or waits for an operator with a reason.',
  afterCall(region, node, { verb, args }) {
    if (verb === 'writeText' && args[0] === paths.bootstrap && String(args[1]).includes('"outcome": "held"')) {
      node.truth.heldAt = region.clock.uptime();
    }
    return undefined;
  },
  atEnd(region, node) {
    if (node.phase === 'gone') return undefined;
    if (node.phase !== 'up') return `is still ${node.phase}`;
    // People ask the agent, which a node that has not bootstrapped has none of.
    const deaf = (reason: Reason) => reason === 'operator' && node.bootstrapExit !== 0;
    const must = reasons(node, region.clock.uptime(), 0).filter((reason) => ends.includes(reason) && !deaf(reason));
    if (must.length > 0) return waitsForHook(region, node) ? undefined : `is still there though ${must.join()}`;
    if (node.bootstrap !== undefined) return judgeRunning(region, node);
    if (node.bootstrapExit === 0) return judgeService(region, node);
    return judgeExit(region, node);
  },
};

/**
 * Whoever may not ask for his group or complete its hooks, or is kept after a bootstrap that
 * failed, completes no hook, which then lasts for its hour.
 */
function waitsForHook({ scenario, clock }: Region, node: Node): boolean {
  const waits = node.group?.hooks.some(({ active, timesOutAt }) => active && (timesOutAt ?? 0) > clock.uptime());
  const isKept = node.bootstrapExit === 77 && scenario.config.bootstrap.onFailure === 'keep';
  const mayNot = scenario.denied.includes('readMembership') || scenario.denied.includes('completeHook');
  return waits === true && (isKept || mayNot);
}

/** Leave no other end than the node's. */
const ends: readonly Reason[] = ['spot', 'scale-in', 'operator', 'hook timed out'];

function judgeExit({ scenario }: Region, node: Node): string | undefined {
  if (node.bootstrapExit !== 77 && node.bootstrapExit !== 78)
    return `the bootstrap does not run; last exit ${node.bootstrapExit}`;
  const why = scenario.planted ?? scenario.denied[0];
  if (why === undefined) return `kept for an operator (exit ${node.bootstrapExit}) though nothing is wrong`;
  if (scenario.denied.length > 0 || scenario.config.bootstrap.onFailure === 'keep') return undefined;
  return `kept (exit ${node.bootstrapExit}) though ${why}`;
}

/**
 * Held nodes try again after each wait; a try takes as long as a bootstrap may, and some minutes to
 * read the history.
 */
function judgeRunning(region: Region, node: Node): string | undefined {
  const { planted, config } = region.scenario;
  const roundMs = (config.stormGuard.maxWaitSeconds + config.bootstrap.timeoutSeconds) * 1000 + 300_000;
  const { heldAt } = node.truth;
  if (planted !== undefined && heldAt !== undefined && region.clock.uptime() - heldAt < roundMs) return undefined;
  // A node that may not ask its group for the second source of its end says so, and waits.
  const waitsToEnd = region.scenario.denied.includes('readMembership') && node.truth.leavingSince !== undefined;
  if (waitsToEnd || (region.scenario.denied.length > 0 && waitsForPerson(region, node))) return undefined;
  return 'the bootstrap still runs, and is not held';
}

/** It tries again by itself, at a slow pace, until a person has mended what AWS refuses. */
function waitsForPerson({ clock }: Region, { machine, wallOffset }: Node): boolean {
  const text = machine.files.get(paths.bootstrap);
  if (typeof text !== 'string') return false;
  const [, retryAt = '0'] = /"retryAt": ([\d.]+)/.exec(text) ?? [];
  return text.includes('"outcome": "running"') || Number(retryAt) > clock.now() + wallOffset;
}

function judgeService(region: Region, node: Node): string | undefined {
  const { planted, denied } = region.scenario;
  if (planted !== undefined) return 'bootstrapped though it could not';
  // Whoever may not ask for his group cannot know whether it has let him go.
  if (node.agent === undefined) return denied.length > 0 ? undefined : 'no agent runs';
  const own = ownInstance(region, node);
  if (own === undefined) return 'ECS does not know it';
  if (!own.agentConnected) return 'its ECS agent is not connected';
  const state = node.group?.lifecycleState ?? 'InService';
  if (state !== 'InService' && denied.length === 0) return `Auto Scaling has it ${state}`;
  const isWanted = node.truth.causes.has('drain-only') || node.truth.causes.has('rebalance');
  const drained = isWanted || denied.includes('activate');
  return own.status === 'ACTIVE' || drained || node.truth.forgetful || node.truth.overtaken
    ? undefined
    : `${own.status} though nothing is wrong with it`;
}
