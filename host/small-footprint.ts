/**
 * Keeps a process small that stays for years and does next to nothing: what V8 does for speed costs
 * it five megabytes.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '../core/retry.ts';

/**
 * Garbage gathers at some hundred kilobytes a minute; one collection takes some 15 ms of CPU time,
 * 0.025 % of one core.
 */
const everyMs = 60_000;

/**
 * No optimizing compilers: their code and its tables are 3 MiB, the parts of the executable that
 * they touch 3 more, for a program that would save milliseconds an hour. Baked into the executable,
 * these flags would cost every start 10 ms, because Node's own code cache is made without them
 * (bench/README.md).
 */
export function doWithoutCompilers(): void {
  for (const flag of ['--no-opt', '--no-maglev', '--no-sparkplug']) setFlagsFromString(flag);
}

/**
 * Collects garbage from time to time: V8 does so when the process is idle, which one that polls
 * never is. Rejects with the signal's reason.
 */
export async function collectNowAndThen(clock: Clock, signal: AbortSignal): Promise<never> {
  setFlagsFromString('--expose-gc');
  for (;;) {
    await clock.sleep(everyMs, signal);
    // V8 gives the function to new contexts only; kept, it would keep its context, which is half a
    // megabyte.
    (runInNewContext('gc') as () => void)();
  }
}
