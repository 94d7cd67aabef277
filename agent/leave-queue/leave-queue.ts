/**
 * Keeps a fleet from leaving at once: a queue in ECS attributes, of which only the first few may
 * go.
 */

import type { Host } from '../../core/host.ts';
import { propagationMs } from '../../core/retry.ts';
import { callOnce } from '../calls.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';

/**
 * Who has taken a place waits so long before it looks: whoever came since, and did not see it in an
 * answer that was `propagationMs` old, had as long again to take its own, which takes as long again
 * to be seen everywhere. With a clock that is slow it stands in front.
 */
const visibleAfterMs = 3 * propagationMs;

/** How many may go at the same time: the share, and always one. */
export function maxLeavingAtOnce(sharePercent: number, registered: number): number {
  return Math.max(1, Math.floor((sharePercent / 100) * registered));
}

/**
 * Takes a place in the queue and reads it back: true when it is near enough to the front. Throws
 * when that cannot be told.
 */
export type QueueCheck = (
  host: Host,
  containerInstance: ContainerInstanceRef,
  reason: string,
  sharePercent: number,
  signal: AbortSignal,
) => Promise<boolean>;

/** One for each node and reason, since it knows its own place again. */
export function openQueueCheck(): QueueCheck {
  // Others had seen this one before they looked. When one arrived whose call had no answer, or that
  // a process had asked for which then died, nobody knows: it may stand in front of a node that has
  // gone already.
  let visibleSince: number | undefined;
  return async (host, containerInstance, reason, sharePercent, signal) => {
    const { cluster, arn } = containerInstance;
    const readQueue = () =>
      callOnce(host, signal, (callSignal) => host.cloud.readLeaveQueue(cluster, reason, callSignal));
    const lookedAt = host.clock.uptime();
    let queue = await readQueue();
    if (!queue.some((entry) => entry.arn === arn)) {
      visibleSince = undefined;
      visibleSince = await joinQueue(host, containerInstance, reason, { queue, lookedAt }, signal);
      await host.clock.sleep(visibleAfterMs, signal);
      queue = await readQueue();
    }
    const ahead = queue.findIndex((entry) => entry.arn === arn);
    if (ahead === -1) return false;
    // Who has gone stays where it stands: the queue alone tells, after a crash, that it was not a
    // person who stopped placement.
    if (queue[ahead]?.since !== visibleSince && !(await isDraining(host, containerInstance, signal))) {
      await removeFromQueue(host, containerInstance, reason, signal);
      return false;
    }
    const { registered } = await callOnce(host, signal, (callSignal) =>
      host.cloud.readClusterHealth(cluster, callSignal),
    );
    return ahead < maxLeavingAtOnce(sharePercent, registered);
  };
}

/** The place, or undefined when it was given so late that others may have looked before. */
async function joinQueue(
  host: Host,
  { cluster, arn }: ContainerInstanceRef,
  reason: string,
  { queue, lookedAt }: { queue: readonly { since: number }[]; lookedAt: number },
  signal: AbortSignal,
): Promise<number | undefined> {
  // Behind everybody who is there: with a clock that is slow it would step in front of one that has
  // gone already.
  const since = Math.max(host.clock.now(), ...queue.map((entry) => entry.since + 1));
  await callOnce(host, signal, (callSignal) => host.cloud.queueToLeave(cluster, arn, reason, since, callSignal));
  // Others wait so long before they look; and those who came after this one had looked are not seen
  // in its queue.
  return host.clock.uptime() - lookedAt > propagationMs ? undefined : since;
}

async function isDraining(host: Host, { cluster, arn }: ContainerInstanceRef, signal: AbortSignal): Promise<boolean> {
  const known = await callOnce(host, signal, (callSignal) =>
    host.cloud.readContainerInstance(cluster, arn, callSignal),
  );
  return known?.status === 'DRAINING';
}

/** Gives the place up. */
export async function removeFromQueue(
  host: Host,
  containerInstance: ContainerInstanceRef,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  await callOnce(host, signal, (callSignal) =>
    host.cloud.unqueue(containerInstance.cluster, containerInstance.arn, reason, callSignal),
  );
}

export async function isQueued(
  host: Host,
  containerInstance: ContainerInstanceRef,
  reason: string,
  signal: AbortSignal,
): Promise<boolean> {
  const queue = await callOnce(host, signal, (callSignal) =>
    host.cloud.readLeaveQueue(containerInstance.cluster, reason, callSignal),
  );
  return queue.some((entry) => entry.arn === containerInstance.arn);
}
