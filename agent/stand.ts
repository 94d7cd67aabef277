/** What a watcher knows of this node's own place in the cluster's queue of nodes that want to leave. */

import type { Host } from '../core/host.ts';
import { isQueued, openBrake } from './brake.ts';
import type { Place } from './container-instance.ts';
import { openPace } from './pace.ts';
import type { Sighting } from './sighting.ts';

export interface Stand {
  /** As the brake says it. */
  mayGo(host: Host, place: Place, signal: AbortSignal): Promise<boolean>;
  /** Asks only where the node may stand there, and less and less often while ECS does not answer. */
  isQueued(host: Host, place: Place, signal: AbortSignal): Promise<boolean>;
}

/** ECS says of each node that joins whether it stands there: thousands that ask again would keep others from joining. */
export function openStand(reason: string, sharePercent: number, sighting: Sighting): Stand {
  const pace = openPace();
  const mayGo = openBrake();
  let hasAsked = false;
  return {
    mayGo(host, place, signal) {
      hasAsked = true;
      return mayGo(host, place, reason, sharePercent, signal);
    },
    async isQueued(host, place, signal) {
      if (!hasAsked && sighting.seen?.instance.queuedFor.includes(reason) === false) return false;
      return pace(host.clock, () => isQueued(host, place, reason, signal));
    },
  };
}
