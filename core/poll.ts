/** Polls: reads until the answer has come. */

import { Unavailable, messageOf } from './errors.ts';
import { isRetryable, jitter, withTimeout, type RetryOptions } from './retry.ts';

/**
 * The longest pause between polls while AWS does not answer, in usual pauses. It spares an API that
 * a whole fleet calls.
 */
const maxSlowdown = 8;

/**
 * The first pauses after a failure, in usual pauses. Six throttled polls in a row then cost a
 * single node about a minute.
 */
const leastSlowing = 2;

/**
 * As a share of the time without an answer: each of thousands of nodes polls less and less often.
 */
const silenceShare = 0.25;

/** The number of usual pauses before the next poll, after AWS has not answered for `silentMs`. */
export function slowingAfter(silentMs: number, everyMs: number): number {
  return Math.min(Math.max(leastSlowing, (silentMs * silenceShare) / everyMs), maxSlowdown);
}

/**
 * Calls `read` every `everyMs` until it returns something other than `undefined`. Failures that may
 * heal count as "not yet", and lengthen the pauses. Throws `Unavailable` with the text `what` when
 * the time is over.
 */
export async function poll<T>(
  what: string,
  read: (signal: AbortSignal) => Promise<T | undefined>,
  options: RetryOptions & { everyMs: number },
): Promise<T> {
  const { clock, signal, withinMs, everyMs, random = Math.random, retryIf = isRetryable } = options;
  const end = clock.uptime() + withinMs;
  let silentSince: number | undefined;
  let last: unknown;
  for (let slowdown = 1; ;) {
    let trouble: unknown;
    try {
      const answer = await withTimeout(end - clock.uptime(), read, clock, signal);
      if (answer !== undefined) return answer;
      [slowdown, silentSince, last] = [1, undefined, undefined];
    } catch (error) {
      if (signal.aborted || !retryIf(error)) throw error;
      trouble = clock.uptime() >= end ? (last ?? error) : error;
      last = trouble;
      silentSince ??= clock.uptime();
      slowdown = slowingAfter(clock.uptime() - silentSince, everyMs);
      await options.onRetry?.(error, everyMs * slowdown);
    }
    // A tenth of jitter separates nodes that booted together. Half separates nodes that AWS refused
    // together.
    const jitteredMs = slowdown === 1 ? everyMs * (0.9 + 0.2 * random()) : jitter(everyMs * slowdown, random);
    // A long pause still leaves time for one last poll.
    const longest = Math.max(everyMs, end - clock.uptime() - everyMs);
    const pause = Math.min(jitteredMs, longest);
    if (clock.uptime() + pause >= end) {
      const why = trouble === undefined ? '' : `: ${messageOf(trouble)}`;
      throw new Unavailable(`${what}: not within ${Math.round(withinMs / 1000)} s${why}`, { cause: trouble });
    }
    await clock.sleep(pause, signal);
  }
}
