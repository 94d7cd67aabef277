/**
 * Keeps the memory of a nearly idle, resident process small: V8's optimisations for speed would
 * cost it five megabytes.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { everyInterval } from '../core/interval.ts';
import type { Clock } from '../core/retry.ts';

/**
 * Some hundred kilobytes of garbage arise each minute. One collection takes some 15 ms of CPU time,
 * 0.025 % of one core.
 */
const everyMs = 60_000;

/**
 * Switches the optimizing compilers off. Their code and its tables are 3 MiB, and the touched parts
 * of the executable 3 more, for a program that would save milliseconds an hour. The executable
 * itself cannot have these flags: every start would take 10 ms longer, because Node.js's own code
 * cache is made without them (docs/decisions/0011).
 */
export function doWithoutCompilers(): void {
  for (const flag of ['--no-opt', '--no-maglev', '--no-sparkplug']) setFlagsFromString(flag);
}

/**
 * Collects garbage at an interval. V8 does so when the process is idle, and a polling process never
 * is. Rejects with the signal's reason.
 */
export async function collectNowAndThen(clock: Clock, signal: AbortSignal): Promise<never> {
  setFlagsFromString('--expose-gc');
  return everyInterval(clock, { everyMs, firstWithinMs: everyMs }, signal, async () => {
    // V8 gives the function to new contexts only. Kept, it would keep its context, which is half a
    // megabyte.
    (runInNewContext('gc') as () => void)();
  });
}
