import { paths } from '../../../core/state/state.ts';
import { reasons, type Reason } from '../faults/causes.ts';
import { neverSeen } from '../scenario.ts';
import { ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

export const endsInTime: Invariant = {
  name: 'ends in time',
  sentence:
    'After a calm time, each node is in service, or has followed an order to end, or waits for the storm guard, or has a reason to wait for an operator.',
  atEnd(region, node) {
    if (node.phase === 'gone') return undefined;
    if (node.phase !== 'up') return `is still ${node.phase}`;
    // An operator's order goes to the agent, and a node before its bootstrap has no agent.
    const deaf = (reason: Reason) => reason === 'operator' && node.bootstrapExit !== 0;
    const must = reasons(node, region.clock.uptime(), 0).filter((reason) => ends.includes(reason) && !deaf(reason));
    if (must.length > 0) return waitsForHook(region, node) ? undefined : `is still there though ${must.join()}`;
    if (node.bootstrap !== undefined) return judgeRunning(region, node);
    if (node.bootstrapExit === 0) return judgeService(region, node);
    return judgeExit(region, node);
  },
};

/**
 * A node completes no hook if its role may not read its group or complete hooks, if it stays after
 * a failed bootstrap, or if it has left and the group said falsely that it is gone. The hook then
 * lasts for its hour.
 */
function waitsForHook({ scenario, clock }: Region, node: Node): boolean {
  const waits = node.group?.hooks.some(({ active, timesOutAt }) => active && (timesOutAt ?? 0) > clock.uptime());
  const isKept = node.bootstrapExit === 77 && scenario.config.bootstrap.onFailure === 'keep';
  const mayNot = scenario.denied.includes('readMembership') || scenario.denied.includes('completeHook');
  const wasDeceived = node.agent === undefined && node.truth.groupLieAt >= (node.truth.leavingSince ?? Infinity);
  return waits === true && (isKept || mayNot || wasDeceived);
}

/** With these reasons the node must end. */
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
 * A waiting node retries after each wait. An attempt takes up to a bootstrap's timeout, plus some
 * minutes for reading the history.
 */
function judgeRunning(region: Region, node: Node): string | undefined {
  const { planted, config } = region.scenario;
  const roundMs = (config.stormGuard.maxWaitSeconds + config.bootstrap.timeoutSeconds) * 1000 + 300_000;
  const { heldAt } = node.truth;
  if (planted !== undefined && heldAt !== undefined && region.clock.uptime() - heldAt < roundMs) return undefined;
  // If the role may not read the group, the node has no second source for its end, so it waits.
  const waitsToEnd = region.scenario.denied.includes('readMembership') && node.truth.leavingSince !== undefined;
  // A person drained it to stay, and its bootstrap tries again until that request is withdrawn.
  const isHeld = node.truth.causes.has('drain-only');
  // Systems Manager once said falsely that it sees the node. With a record in ECS, no source agrees
  // that a later bootstrap failed for good.
  const hasServed = planted === neverSeen && node.truth.said.online;
  const mayWait = region.scenario.denied.length > 0 || isHeld || hasServed;
  if (waitsToEnd || (mayWait && waitsForPerson(region, node))) return undefined;
  return 'the bootstrap still runs, and is not held';
}

/** The agent retries slowly by itself, until an operator corrects the cause of AWS's refusal. */
function waitsForPerson({ clock }: Region, { machine, wallOffset }: Node): boolean {
  const text = machine.files.get(paths.bootstrap);
  if (typeof text !== 'string') return false;
  const [, retryAt = '0'] = /"retryAt": ([\d.]+)/.exec(text) ?? [];
  return text.includes('"outcome": "running"') || Number(retryAt) > clock.now() + wallOffset;
}

function judgeService(region: Region, node: Node): string | undefined {
  const { planted, denied } = region.scenario;
  // Systems Manager alone knows whether it sees the node, and has said so: a lie stands.
  const isTold = planted === neverSeen && node.truth.said.online;
  if (planted !== undefined && !isTold) return 'the bootstrap succeeded in spite of its planted fault';
  // A node that may not read its group cannot know whether the group has released it.
  if (node.agent === undefined) return denied.length > 0 ? undefined : 'no agent runs';
  // On the way into its pool, it keeps the hook alive that its role may not complete or see.
  const mayNotEnter = denied.includes('completeHook') || denied.includes('readMembership');
  if (mayNotEnter && node.group?.lifecycleState.startsWith('Warmed:Pending') === true) return undefined;
  const own = ownInstance(region, node);
  if (own === undefined) return 'ECS has no container instance of it';
  if (!own.agentConnected) return 'its ECS agent is not connected';
  const state = node.group?.lifecycleState ?? 'InService';
  if (state !== 'InService' && denied.length === 0) return `Auto Scaling has it ${state}`;
  const isWanted = node.truth.causes.has('drain-only') || node.truth.causes.has('rebalance');
  const drained = isWanted || denied.includes('activate');
  return own.status === 'ACTIVE' || drained || node.truth.forgetfulSince !== undefined || node.truth.overtaken
    ? undefined
    : `${own.status} though nothing is wrong with it`;
}
