/** Retries and deadlines. They need only a clock and a signal. */

import { Unavailable, messageOf } from './errors.ts';

/** Time is injected, so that tests and simulations run hours in milliseconds. */
export interface Clock {
  /** Wall clock, milliseconds since 1970, for times that people and AWS read. It can jump. */
  now(): number;
  /**
   * Monotonic milliseconds since the machine's boot, for every duration and deadline. It never
   * jumps.
   */
  uptime(): number;
  /**
   * Resolves after `ms`, and rejects with the signal's reason as soon as it aborts. May resolve up
   * to `slackMs` earlier, together with another sleep. In a process that nearly always sleeps, the
   * wake-up costs more than the work.
   */
  sleep(ms: number, signal: AbortSignal, slackMs?: number): Promise<void>;
  /** Calls `act` after `ms`. The returned function cancels it. */
  schedule(ms: number, act: () => void): () => void;
}

export interface RetryOptions {
  clock: Clock;
  signal: AbortSignal;
  /** Give up after this time, counted from the first attempt; Infinity: never. */
  withinMs: number;
  /**
   * Pause after the first failure. It doubles up to `maxPauseMs`, and further in a long wait.
   * Default 1 s.
   */
  pauseMs?: number;
  /** Default 20 s: it spares an API in trouble, and still notices its recovery soon. */
  maxPauseMs?: number;
  /** Between 0 and 1. It spreads the retries of nodes that failed together. Default Math.random. */
  random?: () => number;
  /** The failures to retry; by default those that may heal. */
  retryIf?: (error: unknown) => boolean;
  /** Called for every failure that will be retried. */
  onRetry?: (error: unknown, pauseMs: number) => void | Promise<void>;
}

/**
 * The time until every node sees the writes of all others. AWS documents no time. In practice AWS
 * answers within a second.
 */
export const propagationMs = 5_000;

/**
 * True for a failure that may heal by itself. A refusal, a configuration error and a bug do not.
 */
export function isRetryable(error: unknown): boolean {
  return error instanceof Unavailable;
}

/**
 * Between half of `ms` and all of it. Nodes that AWS refused together, or that were held together,
 * must not retry together.
 */
export function jitter(ms: number, random: () => number = Math.random): number {
  return ms * (0.5 + 0.5 * random());
}

/**
 * As a share of the time waited so far. A node with rare attempts then notices the end of the
 * trouble at most this much later.
 */
const longPauseShare = 0.1;

/**
 * Limits the pause, so that even after a long wait the node notices a recovery within this time.
 */
const longestPauseMs = 90_000;

/**
 * The longest pause between two attempts after a wait of `waitedMs`. Thousands of nodes may share
 * one API limit. If all kept their usual pause, they would keep each other throttled.
 */
export function longestPauseAfter(waitedMs: number, usualMs: number): number {
  return Math.max(usualMs, Math.min(waitedMs * longPauseShare, longestPauseMs));
}

/**
 * Repeats `attempt` until it succeeds. Retries failures that may heal, or those of `retryIf`, with
 * exponential backoff and jitter. Throws the last failure as `Unavailable` after `withinMs` or
 * `maxAttempts`, and every other error at once.
 */
export async function retry<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  options: RetryOptions & {
    /** Give up after this many attempts, also before `withinMs` is over. */
    maxAttempts?: number;
  },
): Promise<T> {
  const { clock, signal, withinMs, pauseMs = 1_000, maxPauseMs = 20_000, random, retryIf = isRetryable } = options;
  const { maxAttempts = Infinity } = options;
  const began = clock.uptime();
  const end = began + withinMs;
  let last: unknown;
  let attempts = 0;
  for (
    let ceiling = pauseMs;
    ;
    ceiling = Math.min(ceiling * 2, longestPauseAfter(clock.uptime() - began, maxPauseMs))
  ) {
    signal.throwIfAborted();
    attempts += 1;
    try {
      return await withTimeout(end - clock.uptime(), attempt, clock, signal);
    } catch (error) {
      if (signal.aborted || !retryIf(error)) throw error;
      const pause = Math.min(
        jitter(ceiling, random),
        // A long pause still leaves time for one last attempt.
        Math.max(maxPauseMs, end - clock.uptime() - maxPauseMs),
      );
      // The timeout of the last attempt explains nothing. The failure before it is the cause.
      const cause = clock.uptime() >= end ? (last ?? error) : error;
      if (attempts >= maxAttempts || clock.uptime() + pause >= end) throw new Unavailable(messageOf(cause), { cause });
      last = error;
      await options.onRetry?.(error, pause);
      await clock.sleep(pause, signal);
    }
  }
}

/**
 * Runs `work` with a deadline. After `ms` its signal aborts and this throws `Unavailable`, even if
 * `work` ignores the signal.
 */
export async function withTimeout<T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
): Promise<T> {
  if (ms === Infinity) return work(signal);
  const timeout = Promise.withResolvers<never>();
  const raced = (callSignal: AbortSignal) => Promise.race([work(callSignal), timeout.promise]);
  return abortAfter(ms, 'no answer', raced, clock, signal, timeout.reject);
}

/**
 * As `withTimeout`, but waits until `work` has ended. Use it for a program: the caller must not
 * continue before the program is killed and cleaned up.
 */
export async function toItsEnd<T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
): Promise<T> {
  return abortAfter(ms, 'not done', work, clock, signal);
}

/**
 * Aborts the signal of `work` after `ms`. It runs several times a second for years. AbortSignal.any
 * would cost as much as a request, so it is not used.
 */
async function abortAfter<T>(
  ms: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
  onTimeout?: (late: Unavailable) => void,
): Promise<T> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const stop = () => controller.abort(signal.reason);
  signal.addEventListener('abort', stop);
  let late: Unavailable | undefined;
  const cancelTimer = clock.schedule(Math.max(0, ms), () => {
    late = new Unavailable(`${what} within ${renderSeconds(ms)}`);
    controller.abort(late);
    onTimeout?.(late);
  });
  try {
    return await work(controller.signal);
  } catch (error) {
    if (late !== undefined && error !== late) throw new Unavailable(late.message, { cause: error });
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    cancelTimer();
  }
}

/** In tenths below ten seconds: `1.5 s`, `120 s`. */
function renderSeconds(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
}
