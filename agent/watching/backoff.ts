/**
 * Backs off calls that can wait: less and less often while AWS does not answer, whatever the
 * interval of the watcher.
 */

import { Unavailable } from '../../core/errors.ts';
import { jitter, type Clock } from '../../core/retry.ts';

/** Makes the call, or throws the last failure while it is too early for the next call. */
export type Backoff = <T>(clock: Clock, call: () => Promise<T>) => Promise<T>;

/**
 * Thousands of nodes must not retry at their watcher's interval: the second try comes within a
 * minute, the others later.
 */
const firstPauseMs = 60_000;

/** The interval of the slowest of these calls when all is well. */
const longestPauseMs = 600_000;

export function openBackoff(random: () => number = Math.random): Backoff {
  let failed: { error: Unavailable; pauseMs: number; until: number } | undefined;
  return async (clock, call) => {
    if (failed !== undefined && clock.uptime() < failed.until) throw failed.error;
    try {
      const answer = await call();
      failed = undefined;
      return answer;
    } catch (error) {
      if (error instanceof Unavailable) {
        const pauseMs = failed === undefined ? firstPauseMs : Math.min(failed.pauseMs * 2, longestPauseMs);
        failed = { error, pauseMs, until: clock.uptime() + jitter(pauseMs, random) };
      }
      throw error;
    }
  };
}
