/**
 * How AWS limits an API: a bucket of tokens that refills evenly; a call that finds none is
 * throttled.
 */

export interface TokenBucket {
  /** True: the call may go on. A throttled call costs nothing. */
  take(nowMs: number): boolean;
}

/** Full at first. `nowMs` must never go back. */
export function openTokenBucket(burst: number, perSecond: number): TokenBucket {
  let tokens = burst;
  let filledAt = 0;
  return {
    take(nowMs) {
      tokens = Math.min(burst, tokens + ((nowMs - filledAt) / 1000) * perSecond);
      filledAt = nowMs;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
