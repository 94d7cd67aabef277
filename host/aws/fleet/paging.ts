/**
 * What the fleet's files share: clients that ask patiently, pages that end, answers that are whole.
 */

import { Unavailable, messageOf } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import { retry, type Clock } from '../../../core/retry.ts';
import type { AwsCall } from '../fault.ts';

/**
 * A burst that AWS throttles is over within seconds; what does not answer for a minute is an
 * outage, and for the next run.
 */
const withinMs = 60_000;

/**
 * Call by call: at a thousand nodes one throttled page must not cost the forty before it. Every
 * call may be made twice.
 */
export function withRetry(callAws: AwsCall, clock: Clock, log: Log): AwsCall {
  return (permission, resource, signal, send) => {
    const onRetry = (error: unknown, pauseMs: number) =>
      log.warn('asking AWS again', { error: messageOf(error), pauseMs: Math.round(pauseMs) });
    const attempt = (callSignal: AbortSignal) => callAws(permission, resource, callSignal, send);
    return retry(attempt, { clock, signal, withinMs, onRetry });
  };
}

/**
 * No fleet has so many pages (a thousand nodes are ten of the smallest): a token that never ends
 * must not hold us for ever.
 */
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

/** In portions of at most `size`. */
export function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size),
  );
}

/**
 * A field that AWS always sends: where it is missing, the answer was cut short or came from
 * somebody else.
 */
export function required<T>(value: T | undefined, call: string): T {
  if (value === undefined) throw new Unavailable(`${call}: the answer lacks what it must have`);
  return value;
}
