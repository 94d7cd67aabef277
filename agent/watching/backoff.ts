/**
 * What can wait is asked of AWS less and less often while it does not answer, whatever the interval
 * of the watcher that asks.
 */

import { Unavailable } from '../../core/errors.ts';
import { jitter, type Clock } from '../../core/retry.ts';

/** The call, or what went wrong the last time as long as it is too early for the next one. */
export type Backoff = <T>(clock: Clock, call: () => Promise<T>) => Promise<T>;

/**
 * A watcher's interval must not become the interval of a whole fleet's calls: the second try comes
 * within a minute, the others later.
 */
const firstPauseMs = 60_000;

/** As often as the slowest of those questions is asked when all is well. */
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
