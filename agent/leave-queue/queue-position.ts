/** What a watcher knows of this node's own position in the cluster's queue of nodes that want to leave. */

import type { Host } from '../../core/host.ts';
import { isQueued, openQueueCheck } from './leave-queue.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';
import { openBackoff } from '../watching/backoff.ts';
import type { KnownFacts } from '../known-facts.ts';

export interface QueuePosition {
  /** As the leave queue says it. */
  mayLeave(host: Host, containerInstance: ContainerInstanceRef, signal: AbortSignal): Promise<boolean>;
  /** Asks only where the node may be queued, and less and less often while ECS does not answer. */
  isQueued(host: Host, containerInstance: ContainerInstanceRef, signal: AbortSignal): Promise<boolean>;
}

/**
 * ECS says of each node that joins whether it is queued: thousands that ask again would keep others
 * from joining.
 */
export function openQueuePosition(reason: string, sharePercent: number, knownFacts: KnownFacts): QueuePosition {
  const backoff = openBackoff();
  const checkQueue = openQueueCheck();
  let hasChecked = false;
  return {
    mayLeave(host, containerInstance, signal) {
      hasChecked = true;
      return checkQueue(host, containerInstance, reason, sharePercent, signal);
    },
    async isQueued(host, containerInstance, signal) {
      if (!hasChecked && knownFacts.lastSeen?.instance.queuedFor.includes(reason) === false) return false;
      return backoff(host.clock, () => isQueued(host, containerInstance, reason, signal));
    },
  };
}
