/** How the agent asks AWS: each call bounded, repeated while time may heal it. */

import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { retry, withTimeout } from '../core/retry.ts';

/** Three times what the slowest call takes in bad times: longer means that the answer is lost. */
const callMs = 30_000;

/** One call, given up after half a minute. */
export function callOnce<T>(
  host: Host,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
  boundMs: number = callMs,
): Promise<T> {
  return withTimeout(boundMs, call, host.clock, signal);
}

/** Repeats the call for at most `withinMs`; throws what cannot heal at once. */
export function callWithRetry<T>(
  host: Host,
  withinMs: number,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock } = host;
  const onRetry = (error: unknown) => host.log.warn('will try again', { error: messageOf(error) });
  // Quickly at first: a notice leaves two minutes.
  return retry((callSignal) => callOnce(host, callSignal, call), { clock, signal, withinMs, pauseMs: 500, onRetry });
}
