import { paths } from '../../../core/state/state.ts';
import { lasting } from '../faults/causes.ts';
import type { Region } from '../world/region.ts';
import { ableSince, askAgainMs, boundMs } from './interruptions-drain.ts';
import type { Invariant } from './invariant.ts';

/** A spot notice must be listed for this long, and an answer of the group can be 4.5 s old. */
const listedMs = 10_000;

/** The node asks the second source every two seconds, which a slow life stretches. */
const askedMs = 2_000;

/** After a minute, the node asks at most this seldom. */
const longestPauseMs = 30_000;

export const ordersAreFollowed: Invariant = {
  name: 'orders are followed',
  sentence: 'A confirmed order is followed in time while another source lies.',
  afterCall(region, { truth }, { verb, args }) {
    if (args[0] !== paths.departure || (verb !== 'writeText' && verb !== 'remove')) return undefined;
    const text = verb === 'writeText' ? String(args[1]) : '';
    const isConfirmed = text.includes('"confirmedAt"') && !text.includes('"undoneAt"');
    truth.unconfirmedSince = isConfirmed ? undefined : (truth.unconfirmedSince ?? region.clock.uptime());
    return undefined;
  },
  afterEvent(region, node) {
    const { trueOrder, unconfirmedSince, failedAt, forgetfulSince } = node.truth;
    if (trueOrder === undefined || unconfirmedSince === undefined || region.scenario.denied.length > 0)
      return undefined;
    // The file of a departure that the disk refused says nothing about the one in memory.
    if (forgetfulSince !== undefined) return undefined;
    const now = region.clock.uptime();
    const [ms, since] = [lasting(node, trueOrder, now), ableSince(region, node, failedAt)];
    if (ms === undefined || since === undefined) return undefined;
    const waitedMs = now - Math.max(now - ms, since, unconfirmedSince);
    const limit = boundMs(region, trueOrder) + askAgainMs(region, node, trueOrder) + confirmMs(region);
    if (waitedMs <= limit) return undefined;
    return `${trueOrder} not followed for ${Math.round(waitedMs / 1000)} s (bound ${Math.round(limit / 1000)} s)`;
  },
};

/** Returns the time for two questions to the second source. */
function confirmMs({ scenario: { slowness } }: Region): number {
  return listedMs + longestPauseMs + 2 * askedMs * slowness;
}
