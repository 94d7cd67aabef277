/** The proof that two independent sources agree, without which no function may end this machine. */

import type { Cause } from './state/state.ts';

declare const proof: unique symbol;

/**
 * Only agent/departure/confirm.ts makes this value, after it has read the second source. A test
 * finds every cast to this type, so no other file can make one.
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
