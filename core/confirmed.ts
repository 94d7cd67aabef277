/** The proof that two independent sources agree, without which no function may end this machine. */

import type { Cause } from './state/state.ts';

declare const proof: unique symbol;

/**
 * Made by agent/departure/confirm.ts alone, which asks the second source. No other file can write
 * this type down: a test looks for casts to it.
 */
export interface Confirmed {
  readonly [proof]: true;
  readonly cause: Cause;
  /** What was seen first. */
  readonly first: string;
  /** What the second source said. */
  readonly second: string;
}
