/** Waits for an event in the simulated world. On failure the error names the awaited event. */

import { setTimeout as pause } from 'node:timers/promises';

/**
 * Polling costs little, because the world is in this process or on this machine. A short interval
 * keeps measured times exact.
 */
const everyMs = 20;

/**
 * Waits for an event, not for a time. The limit only ends a hanging wait, and is long enough for a
 * busy machine.
 */
export async function waitFor(what: string, isSo: () => unknown, withinMs = 60_000): Promise<void> {
  for (const end = performance.now() + withinMs; !(await isSo()); await pause(everyMs)) {
    if (performance.now() > end) throw new Error(`${what}: not within ${withinMs / 1000} s`);
  }
}
