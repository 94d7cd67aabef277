/**
 * Stops a fleet from leaving all at once: a queue in ECS attributes, from which only the first few
 * nodes may go.
 */

import { Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { openLasting } from '../../core/lasting.ts';
import { propagationMs } from '../../core/retry.ts';
import type { Cause } from '../../core/state/state.ts';
import { callOnce } from '../calls.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';
import { countDead } from './dead-records.ts';

/**
 * After queueing, wait 3 × `propagationMs`: one for others to see this entry, one for a node that
 * missed it to write its own, one for this node to see that entry. A node with a slow clock that
 * missed this entry gets in front of it.
 */
const visibleAfterMs = 3 * propagationMs;

/** The causes for which a node queues before it drains. Each has a queue of its own. */
const queuedCauses = ['disk', 'ecs-agent', 'docker'] as const satisfies Cause[];

export type QueuedCause = (typeof queuedCauses)[number];

/** Whether the attribute with this reason is a watcher's entry in the leave queue, and no mark. */
export function isQueueEntry(reason: string): reason is QueuedCause {
  return queuedCauses.some((cause) => cause === reason);
}

/** The number of nodes that may leave at the same time: the share, and at least one. */
export function maxLeavingAtOnce(sharePercent: number, registered: number): number {
  return Math.max(1, Math.floor((sharePercent / 100) * registered));
}

/**
 * Queues this node and reads the queue. True when the node is near enough to the front. Throws when
 * that is unknown.
 */
export type QueueCheck = (
  host: Host,
  containerInstance: ContainerInstanceRef,
  reason: string,
  sharePercent: number,
  signal: AbortSignal,
) => Promise<boolean>;

/** One instance for each node and reason, because it recognises its own entry. */
export function openQueueCheck(): QueueCheck {
  // The time of the entry that others certainly saw. An entry may also come from a call without an
  // answer, or from a process that died. It may then be in front of a node that has already left.
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
    // A node that stopped placement keeps its entry. After a crash, only the queue shows that this
    // program stopped placement, and not a person.
    if (queue[position]?.since !== visibleSince && !(await mayBeDraining(host, containerInstance, signal))) {
      await removeFromQueue(host, containerInstance, reason, signal);
      return false;
    }
    const { registered } = await callOnce(host, signal, (callSignal) =>
      host.cloud.readClusterHealth(cluster, callSignal),
    );
    const most = maxLeavingAtOnce(sharePercent, registered);
    if (position < most) return true;
    // A record without a living agent, which ECS kept, would otherwise block its position for ever.
    const ahead = queue.slice(0, position).map((entry) => entry.arn);
    return position - (await countDead(host, cluster, ahead, true, signal)) < most;
  };
}

/**
 * The entry's time, or undefined when the entry was written so late that others may have read the
 * queue before.
 */
async function joinQueue(
  host: Host,
  { cluster, arn }: ContainerInstanceRef,
  reason: string,
  { queue, lookedAt }: { queue: readonly { since: number }[]; lookedAt: number },
  signal: AbortSignal,
): Promise<number | undefined> {
  // Behind every queued node: with a slow clock, this node would get in front of one that has
  // already left.
  const since = Math.max(host.clock.now(), ...queue.map((entry) => entry.since + 1));
  await callOnce(host, signal, (callSignal) => host.cloud.queueToLeave(cluster, arn, reason, since, callSignal));
  // Others wait this long before they read the queue. After a longer time, a node that queued
  // meanwhile may have missed this entry.
  return host.clock.uptime() - lookedAt > propagationMs ? undefined : since;
}

/**
 * False once ECS has said for a while that the node is not DRAINING. One wrong answer would remove
 * the entry of a node that this program has drained, which then stays DRAINING for ever. Throws
 * where ECS names no record.
 */
async function mayBeDraining(
  host: Host,
  { cluster, arn }: ContainerInstanceRef,
  signal: AbortSignal,
): Promise<boolean> {
  const lasts = openLasting(host.clock, visibleAfterMs);
  const look = (callSignal: AbortSignal) => host.cloud.readContainerInstance(cluster, arn, callSignal);
  for (;;) {
    const record = await callOnce(host, signal, look);
    if (record === undefined) throw noRecord();
    if (record.status === 'DRAINING') return true;
    if (lasts(true)) return false;
    await host.clock.sleep(propagationMs, signal);
  }
}

function noRecord(): Unavailable {
  return new Unavailable('ECS does not know this node, so nothing can be undone');
}

/** Removes this node's entry from the queue. */
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

/**
 * False only where the queue and the node's own record agree, and throws where ECS names no record.
 * One wrong answer would leave a node DRAINING for ever that this process, or the one before it,
 * has drained.
 */
export async function isQueued(
  host: Host,
  containerInstance: ContainerInstanceRef | undefined,
  reason: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (containerInstance === undefined) throw noRecord();
  const { cluster, arn } = containerInstance;
  const queue = await callOnce(host, signal, (callSignal) => host.cloud.readLeaveQueue(cluster, reason, callSignal));
  if (queue.some((entry) => entry.arn === arn)) return true;
  const look = (callSignal: AbortSignal) => host.cloud.readContainerInstance(cluster, arn, callSignal);
  const record = await callOnce(host, signal, look);
  if (record === undefined) throw noRecord();
  return record.queuedFor.includes(reason);
}
