/** A single answer may be stale or wrong. Where it would cost a node, it must last. */

import type { Clock } from './retry.ts';

/**
 * The returned function is called with each answer. It returns true once the same `seen` has come
 * for at least `ms`. `false` and another value begin anew. A failed read is no answer: do not call
 * the function for it.
 */
export function openLasting(clock: Clock, ms: number): (seen: boolean | string) => boolean {
  let last: boolean | string = false;
  let since = 0;
  return (seen) => {
    const now = clock.uptime();
    if (seen !== last) since = now;
    last = seen;
    return seen !== false && now - since >= ms;
  };
}
