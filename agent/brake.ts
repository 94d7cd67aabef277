/** Keeps a fleet from leaving at once: a queue in ECS attributes, of which only the first few may go. */

import type { Host } from '../core/host.ts';
import { settleMs } from '../core/patience.ts';
import { askOnce } from './asking.ts';
import type { Place } from './container-instance.ts';

/**
 * Who has taken a place waits so long before it looks: whoever came since, and did not see it in an answer that was `settleMs` old, had
 * as long again to take its own, which takes as long again to be seen everywhere. With a clock that is slow it stands in front.
 */
const lookAfterMs = 3 * settleMs;

/** How many may go at the same time: the share, and always one. */
export function placesAtOnce(sharePercent: number, registered: number): number {
  return Math.max(1, Math.floor((sharePercent / 100) * registered));
}

/** Takes a place in the queue and reads it back: true when it is near enough to the front. Throws when that cannot be told. */
export type MayGo = (
  host: Host,
  place: Place,
  reason: string,
  sharePercent: number,
  signal: AbortSignal,
) => Promise<boolean>;

/** One for each node and reason, since it knows its own place again. */
export function openBrake(): MayGo {
  // Others had seen this one before they looked. When one arrived whose call had no answer, or that a process had asked for which
  // then died, nobody knows: it may stand in front of a node that has gone already.
  let sure: number | undefined;
  return async (host, place, reason, sharePercent, signal) => {
    const { cluster, arn } = place;
    const readQueue = () => askOnce(host, signal, (inner) => host.cloud.readLeaveQueue(cluster, reason, inner));
    const lookedAt = host.clock.uptime();
    let queue = await readQueue();
    if (!queue.some((entry) => entry.arn === arn)) {
      sure = undefined;
      sure = await takePlace(host, place, reason, { queue, lookedAt }, signal);
      await host.clock.sleep(lookAfterMs, signal);
      queue = await readQueue();
    }
    const ahead = queue.findIndex((entry) => entry.arn === arn);
    if (ahead === -1) return false;
    // Who has gone stays where it stands: the queue alone tells, after a crash, that it was not a person who stopped placement.
    if (queue[ahead]?.since !== sure && !(await isDraining(host, place, signal))) {
      await leaveQueue(host, place, reason, signal);
      return false;
    }
    const { registered } = await askOnce(host, signal, (inner) => host.cloud.readClusterHealth(cluster, inner));
    return ahead < placesAtOnce(sharePercent, registered);
  };
}

/** The place, or undefined when it was given so late that others may have looked before. */
async function takePlace(
  host: Host,
  { cluster, arn }: Place,
  reason: string,
  { queue, lookedAt }: { queue: readonly { since: number }[]; lookedAt: number },
  signal: AbortSignal,
): Promise<number | undefined> {
  // Behind everybody who is there: with a clock that is slow it would step in front of one that has gone already.
  const since = Math.max(host.clock.now(), ...queue.map((entry) => entry.since + 1));
  await askOnce(host, signal, (inner) => host.cloud.queueToLeave(cluster, arn, reason, since, inner));
  // Others wait so long before they look; and those who came after this one had looked are not seen in its queue.
  return host.clock.uptime() - lookedAt > settleMs ? undefined : since;
}

async function isDraining(host: Host, { cluster, arn }: Place, signal: AbortSignal): Promise<boolean> {
  const known = await askOnce(host, signal, (inner) => host.cloud.readContainerInstance(cluster, arn, inner));
  return known?.status === 'DRAINING';
}

/** Gives the place up. */
export async function leaveQueue(host: Host, place: Place, reason: string, signal: AbortSignal): Promise<void> {
  await askOnce(host, signal, (inner) => host.cloud.unqueue(place.cluster, place.arn, reason, inner));
}

export async function isQueued(host: Host, place: Place, reason: string, signal: AbortSignal): Promise<boolean> {
  const queue = await askOnce(host, signal, (inner) => host.cloud.readLeaveQueue(place.cluster, reason, inner));
  return queue.some((entry) => entry.arn === place.arn);
}
