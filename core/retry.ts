/** How long to try, and how long to wait in between: takes a clock and a signal, nothing else. */

import { Unavailable, messageOf } from './errors.ts';

/** Time, injected so that tests and simulations can run hours in milliseconds. */
export interface Clock {
  /** Wall clock, milliseconds since 1970: for stamps that people and AWS read. Can jump. */
  now(): number;
  /**
   * Monotonic milliseconds since the machine's boot: for every duration and deadline. Never jumps.
   */
  uptime(): number;
  /**
   * Resolves after `ms`; rejects with the signal's reason as soon as it aborts. May resolve up to
   * `slackMs` earlier when somebody else is woken then: for a program that sleeps nearly always,
   * waking costs more than what it wakes for.
   */
  sleep(ms: number, signal: AbortSignal, slackMs?: number): Promise<void>;
  /** Calls `act` after `ms`; call the result to forget it. */
  schedule(ms: number, act: () => void): () => void;
}

export interface RetryOptions {
  clock: Clock;
  signal: AbortSignal;
  /** Give up after this long, counted from the first try. */
  withinMs: number;
  /**
   * Pause after the first failure; doubles up to `maxPauseMs`, and beyond in a long wait. Default 1
   * s.
   */
  pauseMs?: number;
  /**
   * Default 20 s: long enough to be gentle to an API in trouble, short enough to notice its
   * recovery.
   */
  maxPauseMs?: number;
  /** Between 0 and 1, spreads a fleet that failed together. Default Math.random. */
  random?: () => number;
  /** Told of every failure that will be retried. */
  onRetry?: (error: unknown, pauseMs: number) => void;
}

/**
 * Until everybody sees what everybody wrote: AWS does not say how soon that is, and answers within
 * a second.
 */
export const propagationMs = 5_000;

/** True for what time may heal: not for a refusal, a configuration error, or a bug of ours. */
export function isRetryable(error: unknown): boolean {
  return error instanceof Unavailable;
}

/** From half of it on: nodes that were refused together, or held, must not come again together. */
export function jitter(ms: number, random: () => number = Math.random): number {
  return ms * (0.5 + 0.5 * random());
}

/** Of the time waited so far: so much later at most who asks seldom hears that it is over. */
const longPauseShare = 0.1;

/** However long it takes, a recovery is noticed within this. */
const longestPauseMs = 90_000;

/**
 * The longest pause between two questions of somebody who has waited so long: where thousands share
 * a limit, each that asks at its usual pace keeps the others from being heard for as long as it
 * takes.
 */
export function longestPauseAfter(waitedMs: number, usualMs: number): number {
  return Math.max(usualMs, Math.min(waitedMs * longPauseShare, longestPauseMs));
}

/**
 * Tries until it works, retrying what may heal with exponential backoff and full jitter.
 * Throws the last failure as `Unavailable` when the patience is used up, anything else at once.
 */
export async function retry<T>(attempt: (signal: AbortSignal) => Promise<T>, options: RetryOptions): Promise<T> {
  const { clock, signal, withinMs, pauseMs = 1_000, maxPauseMs = 20_000, random = Math.random } = options;
  const began = clock.uptime();
  const end = began + withinMs;
  let last: unknown;
  for (
    let ceiling = pauseMs;
    ;
    ceiling = Math.min(ceiling * 2, longestPauseAfter(clock.uptime() - began, maxPauseMs))
  ) {
    signal.throwIfAborted();
    try {
      return await withTimeout(end - clock.uptime(), attempt, clock, signal);
    } catch (error) {
      if (signal.aborted || !isRetryable(error)) throw error;
      // Half fixed, half random: never a busy loop, never a herd.
      const pause = Math.min(
        ceiling / 2 + (ceiling / 2) * random(),
        // However slow it has become, it asks once more before the time is up.
        Math.max(maxPauseMs, end - clock.uptime() - maxPauseMs),
      );
      // What cut the last try short says nothing: the failure before it does.
      const cause = clock.uptime() >= end ? (last ?? error) : error;
      if (clock.uptime() + pause >= end) throw new Unavailable(messageOf(cause), { cause });
      last = error;
      options.onRetry?.(error, pause);
      await clock.sleep(pause, signal);
    }
  }
}

/**
 * The longest pause between polls while AWS does not answer, in usual pauses: gentle to an API that
 * a whole fleet asks.
 */
const maxSlowdown = 8;

/**
 * The first pauses after a failure. A single node then loses about a minute to six throttled polls
 * in a row.
 */
const leastSlowing = 2;

/** Of the time without an answer: where thousands ask, each asks less and less often. */
const silenceShare = 0.25;

/** How many usual pauses a poll waits after AWS has not answered for `silentMs`. */
export function slowingAfter(silentMs: number, everyMs: number): number {
  return Math.min(Math.max(leastSlowing, (silentMs * silenceShare) / everyMs), maxSlowdown);
}

/**
 * Asks until the answer is there (not `undefined`), every `everyMs`; failures that may heal count
 * as "not yet", and are followed by longer and longer pauses. Throws `Unavailable` naming `what`
 * when the time is up.
 */
export async function poll<T>(
  what: string,
  read: (signal: AbortSignal) => Promise<T | undefined>,
  options: RetryOptions & { everyMs: number },
): Promise<T> {
  const { clock, signal, withinMs, everyMs, random = Math.random } = options;
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
      if (signal.aborted || !isRetryable(error)) throw error;
      trouble = clock.uptime() >= end ? (last ?? error) : error;
      last = trouble;
      silentSince ??= clock.uptime();
      slowdown = slowingAfter(clock.uptime() - silentSince, everyMs);
      options.onRetry?.(error, everyMs * slowdown);
    }
    // A tenth of jitter keeps nodes that booted together from polling together, half of it those
    // that are all refused.
    const jitteredMs = slowdown === 1 ? everyMs * (0.9 + 0.2 * random()) : jitter(everyMs * slowdown, random);
    // However slow it has become, it asks once more before the time is up.
    const longest = Math.max(everyMs, end - clock.uptime() - everyMs);
    const pause = Math.min(jitteredMs, longest);
    if (clock.uptime() + pause >= end) {
      const why = trouble === undefined ? '' : `: ${messageOf(trouble)}`;
      throw new Unavailable(`${what}: not within ${Math.round(withinMs / 1000)} s${why}`, { cause: trouble });
    }
    await clock.sleep(pause, signal);
  }
}

/**
 * Runs `work` with a deadline: after `ms` its signal aborts and this throws `Unavailable`, even if
 * `work` ignores the signal. Used several times a second for years, so it goes without
 * AbortSignal.any, whose bookkeeping costs as much as a request.
 */
export async function withTimeout<T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const stop = () => controller.abort(signal.reason);
  signal.addEventListener('abort', stop);
  const timeout = Promise.withResolvers<never>();
  let late: Unavailable | undefined;
  const cancelTimer = clock.schedule(Math.max(0, ms), () => {
    late = new Unavailable(`no answer within ${renderSeconds(ms)}`);
    controller.abort(late);
    timeout.reject(late);
  });
  try {
    return await Promise.race([work(controller.signal), timeout.promise]);
  } catch (error) {
    if (late !== undefined && error !== late) throw new Unavailable(late.message, { cause: error });
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    cancelTimer();
  }
}

/**
 * As `withTimeout`, but waits until `work` has ended: for a program that must be killed, and
 * cleaned up after, before its user goes on.
 */
export async function toItsEnd<T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const ends = new AbortController();
  const stop = () => ends.abort(signal.reason);
  signal.addEventListener('abort', stop);
  let late: Unavailable | undefined;
  const forget = clock.schedule(Math.max(0, ms), () => {
    late = new Unavailable(`not done within ${renderSeconds(ms)}`);
    ends.abort(late);
  });
  try {
    return await work(ends.signal);
  } catch (error) {
    if (late !== undefined && error !== late) throw new Unavailable(late.message, { cause: error });
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    forget();
  }
}

/** In tenths below ten seconds: `1.5 s`, `120 s`. */
function renderSeconds(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
}
