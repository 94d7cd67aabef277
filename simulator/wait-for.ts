/**
 * Waits until something has happened in the simulated world, and says what was waited for when it
 * does not.
 */

import { setTimeout as pause } from 'node:timers/promises';

/**
 * The world is in this process or next to it: looking costs nothing, and whoever measures wants to
 * know soon.
 */
const everyMs = 20;

/** Waits for the world, not for a time: the limit only ends what hangs, on a busy machine too. */
export async function waitFor(what: string, isSo: () => unknown, withinMs = 60_000): Promise<void> {
  for (const end = performance.now() + withinMs; !(await isSo()); await pause(everyMs)) {
    if (performance.now() > end) throw new Error(`${what}: not within ${withinMs / 1000} s`);
  }
}
