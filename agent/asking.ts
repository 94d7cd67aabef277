/** How the agent asks AWS: each call bounded, repeated while time may heal it. */

import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { retry, within } from '../core/patience.ts';

/** Three times what the slowest call takes in bad times: longer means that the answer is lost. */
const callMs = 30_000;

/** One call, given up after half a minute. */
export function askOnce<T>(
  host: Host,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
  boundMs: number = callMs,
): Promise<T> {
  return within(boundMs, call, host.clock, signal);
}

/** Repeats the call for at most `withinMs`; throws what cannot heal at once. */
export function ask<T>(
  host: Host,
  withinMs: number,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock } = host;
  const onRetry = (error: unknown) => host.log.warn('will try again', { error: messageOf(error) });
  // Quickly at first: a notice leaves two minutes.
  return retry((inner) => askOnce(host, inner, call), { clock, signal, withinMs, pauseMs: 500, onRetry });
}
