/** Waits until a condition holds. On failure the error names the condition. */

import { setTimeout as pause } from 'node:timers/promises';

/** It only ends what hangs: on a machine out of breath, a boot alone takes a minute. */
const limitSeconds = 240;

/** Polls every 0.1 s. Resolves with the first result that is neither undefined nor false. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const end = performance.now() + limitSeconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`this did not happen within ${limitSeconds} s: ${what}`);
    await pause(100);
  }
}
