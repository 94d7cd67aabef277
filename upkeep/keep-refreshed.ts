/**
 * Has the configuration pulled again and again. Loads nothing of how: the agent leaves that to a
 * child.
 */

import type { Config } from '../config/config.ts';
import type { Chore } from './chore.ts';

/** Some pages and some objects, in bad times, and a program to start for it. */
export const refreshMs = 60_000;

/** One round, done by somebody else. */
export type PullOnce = (signal: AbortSignal) => Promise<'changed' | 'unchanged'>;

export function keepRefreshed({ refresh }: Config, pull: PullOnce): Chore {
  return {
    name: 'refresh',
    everyMs: refresh.everySeconds * 1000,
    // The child gives up first, and says why.
    deadlineMs: refreshMs + 15_000,
    run: (_host, signal) => pull(signal),
  };
}
