/** Shared by the fleet's files: retries, and the check that an answer is complete. */

import { Unavailable, messageOf } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import { retry, type Clock } from '../../../core/retry.ts';
import type { AwsCall } from '../fault.ts';

/**
 * Throttling ends within seconds. A minute without an answer is an outage, and for the next run.
 */
const withinMs = 60_000;

/**
 * Retries each call by itself: one throttled page must not repeat the forty pages before it. Each
 * call must therefore be safe to repeat.
 */
export function withRetry(callAws: AwsCall, clock: Clock, log: Log): AwsCall {
  return (permission, resource, signal, send) => {
    const onRetry = (error: unknown, pauseMs: number) =>
      log.warn('asking AWS again', { error: messageOf(error), pauseMs: Math.round(pauseMs) });
    const attempt = (callSignal: AbortSignal) => callAws(permission, resource, callSignal, send);
    return retry(attempt, { clock, signal, withinMs, onRetry });
  };
}

/** For a field that AWS always sends. Without it, the answer is incomplete or not from AWS. */
export function required<T>(value: T | undefined, call: string): T {
  if (value === undefined) throw incompleteAnswer(call);
  return value;
}

export function incompleteAnswer(call: string): Unavailable {
  return new Unavailable(`${call}: the answer is incomplete`);
}
