/**
 * How the agent calls AWS: each call has a time limit, and is retried while its failure may pass.
 */

import { Refused, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { jitter, retry, withTimeout } from '../core/retry.ts';

/** Three times the slowest call seen under throttling. After that, the answer is lost. */
const callMs = 30_000;

/** One call, given up after `boundMs`; default 30 s. */
export function callOnce<T>(
  host: Host,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
  boundMs: number = callMs,
): Promise<T> {
  return withTimeout(boundMs, call, host.clock, signal);
}

/** Retries the call for at most `withinMs`. Throws at once an error that no retry can heal. */
export function callWithRetry<T>(
  host: Host,
  withinMs: number,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock } = host;
  const onRetry = (error: unknown) => host.log.warn('will try again', { error: messageOf(error) });
  // The first retries are quick, because a spot notice leaves only two minutes.
  return retry((callSignal) => callOnce(host, callSignal, call), { clock, signal, withinMs, pauseMs: 500, onRetry });
}

export interface Pauses {
  /** Doubles up to `maxPauseMs`, which is the same by default. */
  pauseMs: number;
  maxPauseMs?: number;
  /** Waited in addition after a refusal, because a person has to fix something. */
  refusedPauseMs?: number;
}

/**
 * Repeats `work` until it succeeds or the signal aborts, whatever its failure. Logs a failure only
 * when it changes: the same one every minute would fill the journal.
 */
export function retryUntilDone<T>(
  { clock, log }: Pick<Host, 'clock' | 'log'>,
  message: string,
  { pauseMs, maxPauseMs = pauseMs, refusedPauseMs = 0 }: Pauses,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  let told = '';
  const onRetry = async (error: unknown) => {
    const why = messageOf(error);
    if (why !== told) log.warn(message, { error: why });
    told = why;
    if (error instanceof Refused) await clock.sleep(jitter(refusedPauseMs), signal);
  };
  return retry(work, { clock, signal, withinMs: Infinity, pauseMs, maxPauseMs, retryIf: () => true, onRetry });
}
