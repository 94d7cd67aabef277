/** A watcher's view of this node's position in the leave queue. */

import { Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { openLasting } from '../../core/lasting.ts';
import { isQueued, openQueueCheck, type QueuedCause } from './leave-queue.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';
import { openBackoff } from '../watching/backoff.ts';
import type { KnownFacts } from '../known-facts.ts';

export interface QueuePosition {
  /** The answer of the leave queue. */
  mayLeave(host: Host, containerInstance: ContainerInstanceRef, signal: AbortSignal): Promise<boolean>;
  /** Asks only when the node may be queued, and less and less often while ECS does not answer. */
  isQueued(host: Host, containerInstance: ContainerInstanceRef | undefined, signal: AbortSignal): Promise<boolean>;
  /** Whether ECS has shown an entry since `isQueued` was last called. Costs no call. */
  isShown(): boolean;
}

/** ECS may show an older state for a while. Believed, it would leave the node DRAINING for ever. */
const goneMs = 60_000;

/**
 * When a node joins, its record in ECS already shows whether it is queued. Thousands of nodes that
 * ask again would keep others from joining. An answer that was behind is mended by the check of the
 * ECS agent, which reads the record every ten minutes.
 */
export function openQueuePosition(reason: QueuedCause, sharePercent: number, knownFacts: KnownFacts): QueuePosition {
  const backoff = openBackoff();
  const checkQueue = openQueueCheck();
  let mayBeQueued = false;
  let isGone: ReturnType<typeof openLasting> | undefined;
  return {
    isShown: () => knownFacts.shownEntries?.has(reason) === true,
    mayLeave(host, containerInstance, signal) {
      mayBeQueued = true;
      isGone = undefined;
      return checkQueue(host, containerInstance, reason, sharePercent, signal);
    },
    async isQueued(host, containerInstance, signal) {
      const seen = knownFacts.lastSeen?.instance;
      if (knownFacts.shownEntries?.delete(reason) === true) {
        mayBeQueued = true;
        isGone = undefined;
      }
      if (!mayBeQueued && seen?.status === 'ACTIVE' && !seen.queuedFor.includes(reason)) return false;
      const queued = await backoff(host.clock, () => isQueued(host, containerInstance, reason, signal));
      // The checks may be an hour apart.
      isGone ??= openLasting(host.clock, goneMs, Infinity);
      if (!isGone(!queued) && !queued && (mayBeQueued || seen?.status === 'DRAINING'))
        throw new Unavailable('ECS does not show the queue entry of a node that may have one; asks again');
      return queued;
    },
  };
}
