/**
 * Pulls the configuration at an interval. A child process does the work, so that the agent need not
 * load the code.
 */

import type { Config } from '../config/config.ts';
import type { Chore } from './chore.ts';

/** Some pages and some objects while AWS is slow, and the start of a program. */
export const refreshMs = 60_000;

/** One round in a child process. */
export type PullOnce = (signal: AbortSignal) => Promise<'changed' | 'unchanged'>;

export function keepRefreshed({ refresh }: Config, pull: PullOnce): Chore {
  return {
    name: 'refresh',
    everyMs: refresh.everySeconds * 1000,
    // The child reaches its time-out first, and reports the reason.
    deadlineMs: refreshMs + 15_000,
    run: (_host, signal) => pull(signal),
  };
}
