import { startedBy } from '../../../upkeep/daemon-tasks.ts';
import { reasons } from '../faults/causes.ts';
import type { Call } from '../effects.ts';
import type { Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import { isDeadly } from './healthy-stays.ts';
import type { Invariant } from './invariant.ts';

/** Calls that ACTIVE does not undo, beside the node's end. */
const irrevocable = new Set(['stopTask', 'deregisterTarget', 'deregisterFromLoadBalancer', 'deregister']);

/** A departure with a real cause can continue this long after the cause has ended. */
const underWayMs = 3_600_000;

/**
 * An EC2 that does not answer, or not this role, leaves the spot notice as the only source. The
 * tasks then stop in the last 50 s of a notice that was listed all the time (decision 0014).
 */
const silentMs = 50_000;

export const twoSources: Invariant = {
  name: 'two sources',
  sentence:
    'No healthy node leaves, ends, loses its place in a load balancer or stops a task because of one source alone.',
  onCall(region, node, call) {
    if (call.process.name !== 'agent' || !(irrevocable.has(call.verb) || isEnd(region, call))) return undefined;
    if (replacesDaemonTask(region, call)) return undefined;
    const why = reasons(node, region.clock.uptime(), underWayMs);
    if (why.some((reason) => reason !== 'lie') || isSpotUnanswered(region, node)) return undefined;
    return `${call.verb} on the word of one source`;
  },
};

/**
 * A node stops a task that it started itself, in favour of a new revision or of its twin. It also
 * does so while a departure is called off that it may not undo yet. A departure gives another
 * reason.
 */
export function replacesDaemonTask({ cluster }: Region, { verb, args }: Call): boolean {
  if (verb !== 'stopTask' || !/^ecs-node: (replaced by|one is enough|no longer configured)/.test(String(args[2])))
    return false;
  return cluster.tasks.find(({ arn }) => arn === args[1])?.startedBy === startedBy;
}

function isSpotUnanswered({ clock }: Region, { truth }: Node): boolean {
  return truth.leavingFor?.cause === 'spot' && clock.uptime() - truth.spotAnsweredAt > silentMs;
}

function isEnd({ scenario }: Region, call: Call): boolean {
  return isDeadly(call) || (call.verb === 'completeHook' && call.args[1] === scenario.config.autoScaling.terminateHook);
}
