/** The one loop on an interval, and pauses that grow. */

import { jitter, type Clock } from './retry.ts';

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

/** Each pause is longer than the one before. At first there is none. */
export interface GrowingPause {
  isOver(): boolean;
  begin(): void;
  /** The next pause lasts `ms`; by default as long as the first one did. */
  reset(ms?: number): void;
}

export interface GrowingPauseOptions {
  firstMs: number;
  longestMs: number;
  /** Default 2. */
  factor?: number;
}

/** Nodes that AWS refused together must not retry together, so each pause has jitter. */
export function openGrowingPause(clock: Clock, { firstMs, longestMs, factor = 2 }: GrowingPauseOptions): GrowingPause {
  let nextMs = firstMs;
  let endsAt = -Infinity;
  return {
    isOver: () => clock.uptime() >= endsAt,
    begin() {
      endsAt = clock.uptime() + jitter(nextMs);
      nextMs = Math.min(nextMs * factor, longestMs);
    },
    reset(ms = firstMs) {
      nextMs = ms;
    },
  };
}
