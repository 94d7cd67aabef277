/**
 * Keeps a fleet from leaving at once: a queue in ECS attributes, of which only the first few nodes
 * may go.
 */

import type { Host } from '../../core/host.ts';
import { propagationMs } from '../../core/retry.ts';
import { callOnce } from '../calls.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';
import { countDead } from './dead-records.ts';

/**
 * After queueing, wait 3 × `propagationMs`: one for others to see this entry, one for a node that
 * missed it to write its own, one for this node to see that entry. A node whose clock is slow
 * stands in front.
 */
const visibleAfterMs = 3 * propagationMs;

/** How many may go at the same time: the share, and always one. */
export function maxLeavingAtOnce(sharePercent: number, registered: number): number {
  return Math.max(1, Math.floor((sharePercent / 100) * registered));
}

/**
 * Queues this node, and reads the queue: true when the node is near enough to the front. Throws
 * when that cannot be told.
 */
export type QueueCheck = (
  host: Host,
  containerInstance: ContainerInstanceRef,
  reason: string,
  sharePercent: number,
  signal: AbortSignal,
) => Promise<boolean>;

/** One for each node and reason, since it recognises its own entry. */
export function openQueueCheck(): QueueCheck {
  // The entry that others had seen before they looked. An entry may also come from a call without an
  // answer, or from a process that died: then nobody knows whether it stands in front of a node that
  // has gone already.
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
    const position = queue.findIndex((entry) => entry.arn === arn);
    if (position === -1) return false;
    // A node that has gone keeps its entry: after a crash only the queue tells that it was not a person
    // who stopped placement.
    if (queue[position]?.since !== visibleSince && !(await isDraining(host, containerInstance, signal))) {
      await removeFromQueue(host, containerInstance, reason, signal);
      return false;
    }
    const { registered } = await callOnce(host, signal, (callSignal) =>
      host.cloud.readClusterHealth(cluster, callSignal),
    );
    const most = maxLeavingAtOnce(sharePercent, registered);
    if (position < most) return true;
    // A node that died in the queue, and whose record ECS kept, would hold its place for ever.
    const ahead = queue.slice(0, position).map((entry) => entry.arn);
    return position - (await countDead(host, cluster, ahead, signal)) < most;
  };
}

/** The entry's time, or undefined when it was written so late that others may have looked before. */
async function joinQueue(
  host: Host,
  { cluster, arn }: ContainerInstanceRef,
  reason: string,
  { queue, lookedAt }: { queue: readonly { since: number }[]; lookedAt: number },
  signal: AbortSignal,
): Promise<number | undefined> {
  // Behind every node that is there: with a slow clock this one would step in front of a node that
  // has gone already.
  const since = Math.max(host.clock.now(), ...queue.map((entry) => entry.since + 1));
  await callOnce(host, signal, (callSignal) => host.cloud.queueToLeave(cluster, arn, reason, since, callSignal));
  // Others wait this long before they look. A node that queued after this one had looked is not in
  // the answer.
  return host.clock.uptime() - lookedAt > propagationMs ? undefined : since;
}

async function isDraining(host: Host, { cluster, arn }: ContainerInstanceRef, signal: AbortSignal): Promise<boolean> {
  const known = await callOnce(host, signal, (callSignal) =>
    host.cloud.readContainerInstance(cluster, arn, callSignal),
  );
  return known?.status === 'DRAINING';
}

/** Gives the place in the queue up. */
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
