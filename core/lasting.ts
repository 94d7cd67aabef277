/** A single answer may be stale or wrong. Where it would cost a node, it must last. */

import type { Clock } from './retry.ts';

/**
 * Longer than a single source is stale, half or wrong: what it says alone must last for this time.
 * A chosen value: nobody outside tells how long their service may err.
 */
export const singleErrorMs = 75_000;

/**
 * Longer than any check of a slow or busy machine takes. Where more time passes between two looks,
 * the machine or this process may have stood still, so that time counts for nothing.
 */
export const longestGapMs = 120_000;

/**
 * The returned function is called with each answer. It returns true once the same `seen` has come
 * for at least `ms`, or `leastMs` where an answer needs another time. `false`, another value and a
 * pause of more than `gapMs` begin anew. A failed read is no answer: do not call the function.
 */
export function openLasting(
  clock: Clock,
  ms: number,
  gapMs = longestGapMs,
): (seen: boolean | string, leastMs?: number) => boolean {
  let last: boolean | string = false;
  let since = 0;
  let lastAt = 0;
  return (seen, leastMs = ms) => {
    const now = clock.uptime();
    if (seen !== last || now - lastAt > gapMs) since = now;
    [last, lastAt] = [seen, now];
    return seen !== false && now - since >= leastMs;
  };
}

/**
 * As `openLasting`, for each of several names: returns those that each call has named for at least
 * `ms`.
 */
export function openLastingOfEach(clock: Clock, ms: number): (seen: readonly string[]) => string[] {
  let known = new Map<string, ReturnType<typeof openLasting>>();
  return (seen) => {
    known = new Map(seen.map((name) => [name, known.get(name) ?? openLasting(clock, ms)]));
    return seen.filter((name) => known.get(name)?.(true));
  };
}
