/** Shared by the fleet's files: retries, pages, and the check that an answer is complete. */

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

/** A thousand nodes are ten pages. The limit ends a list whose tokens never end. */
const maxPages = 500;

/** Every page of a list, in order. */
export async function everyPage<T>(
  read: (token: string | undefined) => Promise<{ items: readonly T[]; next: string | undefined }>,
): Promise<T[]> {
  const all: T[] = [];
  let token: string | undefined;
  for (let page = 0; page < maxPages; page++) {
    const { items, next } = await read(token);
    for (const item of items) all.push(item);
    if (!next) return all;
    token = next;
  }
  throw new Unavailable(`more than ${maxPages} pages: the list does not end`);
}

/** Parts of at most `size` items. */
export function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size),
  );
}

/** For a field that AWS always sends. Without it, the answer is incomplete or not from AWS. */
export function required<T>(value: T | undefined, call: string): T {
  if (value === undefined) throw new Unavailable(`${call}: the answer is incomplete`);
  return value;
}
