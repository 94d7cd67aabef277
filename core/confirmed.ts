/** The proof that two independent sources agree, without which no function may end this machine. */

import type { Cause } from './state/state.ts';

declare const proof: unique symbol;

/**
 * Only agent/departure/confirm.ts makes this value, after it has read the second source. A test
 * (confirmed.test.ts) names the files that may import this type, and the one that may cast to it.
 * It cannot see a cast that does not name the type, such as `as never`: a review must find that.
 */
export interface Confirmed {
  readonly [proof]: true;
  readonly cause: Cause;
  /** The finding of the first source. */
  readonly first: string;
  /** The answer of the second source. */
  readonly second: string;
  /** The uptime at which the second source was asked. */
  readonly askedAt: number;
}
