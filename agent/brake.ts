/** Keeps a fleet from leaving at once: a queue in ECS attributes, of which only the first few may go. */

import type { Host } from '../core/host.ts';
import { settleMs } from '../core/patience.ts';
import { askOnce } from './asking.ts';
import type { Place } from './container-instance.ts';

/** How many may go at the same time: the share, and always one. */
export function placesAtOnce(sharePercent: number, registered: number): number {
  return Math.max(1, Math.floor((sharePercent / 100) * registered));
}

/** Takes a place in the queue and reads it back: true when it is near enough to the front. Throws when that cannot be told. */
export async function mayGo(
  host: Host,
  place: Place,
  reason: string,
  sharePercent: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { cluster, arn } = place;
  const readQueue = () => askOnce(host, signal, (inner) => host.cloud.readLeaveQueue(cluster, reason, inner));
  let queue = await readQueue();
  if (!queue.some((entry) => entry.arn === arn)) {
    // Behind everybody who is there: with a clock that is slow it would step in front of one that has gone already.
    const since = Math.max(host.clock.now(), ...queue.map((entry) => entry.since + 1));
    const asked = host.clock.uptime();
    await askOnce(host, signal, (inner) => host.cloud.queueToLeave(cluster, arn, reason, since, inner));
    // Others wait so long before they look: who arrives later than that steps in front of one that has gone already.
    if (host.clock.uptime() - asked > settleMs) {
      await leaveQueue(host, place, reason, signal);
      // Looked for sooner it may be seen to stand there still, and would go from a place that nobody else sees.
      await host.clock.sleep(settleMs, signal);
      return false;
    }
    await host.clock.sleep(settleMs, signal);
    queue = await readQueue();
  }
  const { registered } = await askOnce(host, signal, (inner) => host.cloud.readClusterHealth(cluster, inner));
  const ahead = queue.findIndex((entry) => entry.arn === arn);
  return ahead !== -1 && ahead < placesAtOnce(sharePercent, registered);
}

/** Gives the place up. */
export async function leaveQueue(host: Host, place: Place, reason: string, signal: AbortSignal): Promise<void> {
  await askOnce(host, signal, (inner) => host.cloud.unqueue(place.cluster, place.arn, reason, inner));
}

export async function isQueued(host: Host, place: Place, reason: string, signal: AbortSignal): Promise<boolean> {
  const queue = await askOnce(host, signal, (inner) => host.cloud.readLeaveQueue(place.cluster, reason, inner));
  return queue.some((entry) => entry.arn === place.arn);
}
