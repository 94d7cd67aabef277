/** The one loop on an interval. */

import type { Clock } from './retry.ts';

/** The times, in uptime, between which a round may begin. */
export interface StartWindow {
  earliestAt: number;
  latestAt: number;
}

/** A round that begins at `at`. */
export function exactlyAt(at: number): StartWindow {
  return { earliestAt: at, latestAt: at };
}

export interface Interval {
  everyMs: number;
  /** The first round begins within this time, at random; by default at once. */
  firstWithinMs?: number | undefined;
  /** Between 0 and 1; default Math.random. */
  random?: (() => number) | undefined;
  /**
   * When the next round may begin, after a round that began at `startedAt`. By default after
   * `everyMs`, shortened by up to a fifth at random, so that the fleet does not act in step.
   */
  next?: ((startedAt: number) => StartWindow) | undefined;
}

/** Prevents a busy loop when a round takes longer than its interval. */
const leastPauseShare = 0.25;

/**
 * Runs `round` again and again until the signal aborts or `round` throws. A round that returns a
 * number is followed by the next one after that many milliseconds.
 */
export async function everyInterval(
  clock: Clock,
  { everyMs, firstWithinMs, random = Math.random, next }: Interval,
  signal: AbortSignal,
  round: () => Promise<number | void>,
): Promise<never> {
  const spread = (startedAt: number) => exactlyAt(startedAt + everyMs * (0.8 + 0.2 * random()));
  if (firstWithinMs !== undefined) await clock.sleep(random() * firstWithinMs, signal);
  for (;;) {
    const startedAt = clock.uptime();
    const ownPauseMs = await round();
    if (ownPauseMs !== undefined) {
      await clock.sleep(ownPauseMs, signal);
      continue;
    }
    const { earliestAt, latestAt } = (next ?? spread)(startedAt);
    const soonestAt = clock.uptime() + everyMs * leastPauseShare;
    const until = Math.max(latestAt, soonestAt);
    await clock.sleep(until - clock.uptime(), signal, until - Math.max(earliestAt, soonestAt));
  }
}
