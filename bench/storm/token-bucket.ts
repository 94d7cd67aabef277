/**
 * AWS's limit for an API: a bucket of tokens that refills evenly. AWS throttles a call that finds
 * no token.
 */

export interface TokenBucket {
  /** Returns true if AWS accepts the call. A throttled call takes no token. */
  take(nowMs: number): boolean;
}

/** The bucket is full at first. `nowMs` must never decrease. */
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
