/** How a bootstrap waits for others: until its own deadline, and telling "no answer" from "answered, but never did". */

import type { Config } from '../core/config.ts';
import { Refused, Unavailable, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { retry, until, within, type Patience } from '../core/patience.ts';
import type { Trail } from './step.ts';

/** As patient as the bootstrap has time, telling the log of each failure. */
export function patience(host: Host, trail: Trail, signal: AbortSignal): Patience {
  return {
    clock: host.clock,
    signal,
    withinMs: trail.leftMs(),
    onRetry: (error, pauseMs) =>
      host.log.warn('will try again', { error: messageOf(error), pauseMs: Math.round(pauseMs) }),
  };
}

/** One AWS call, repeated while it may heal. A call without an answer is given up after `boundMs`, so that it can be repeated. */
export function ask<T>(
  host: Host,
  trail: Trail,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
  boundMs: number = callMs,
): Promise<T> {
  return retry((inner) => within(boundMs, call, host.clock, inner), patience(host, trail, signal));
}

export interface Wait<T> {
  /** What is waited for, as the beginning of an error: `OpsWorks registration of i-1`. */
  what: string;
  /** What to look at when it never comes, as a sentence without a full stop. */
  remedy: string;
  everyMs: number;
  /** `done` when it has come, else what it looks like now. */
  look(signal: AbortSignal): Promise<{ done: T } | { now: string }>;
}

/**
 * Looks until it is done. At the end of the bootstrap's time it throws `Refused` when the other side answered all along and
 * had at least half of the bootstrap's whole time, else `Unavailable`: slow or absent AWS must never cost a node its life.
 */
export async function waitUntil<T>(
  wait: Wait<T>,
  host: Host,
  config: Config,
  trail: Trail,
  signal: AbortSignal,
): Promise<T> {
  let answeringSince: number | undefined;
  let answeredAt = 0;
  let last = 'unknown';
  const look = async (inner: AbortSignal) => {
    try {
      const seen = await within(callMs, (deeper) => wait.look(deeper), host.clock, inner);
      answeredAt = host.clock.uptime();
      answeringSince ??= answeredAt;
      if ('done' in seen) return seen;
      if (seen.now !== last) host.log.info('waiting', { what: wait.what, now: seen.now });
      last = seen.now;
      return undefined;
    } catch (error) {
      answeringSince = undefined;
      throw error;
    }
  };
  try {
    // A little before the bootstrap's own deadline, which would cut this off without a reason.
    const withinMs = Math.max(0, trail.leftMs() - 1_000);
    const { done } = await until(wait.what, look, {
      ...patience(host, trail, signal),
      withinMs,
      everyMs: wait.everyMs,
    });
    return done;
  } catch (error) {
    if (!(error instanceof Unavailable) || signal.aborted) throw error;
    // Up to the last answer: what became of it while a call hung, nobody knows.
    const heardForMs = answeringSince === undefined ? 0 : answeredAt - answeringSince;
    if (heardForMs < config.bootstrap.timeoutSeconds * 500) throw error;
    const waited = Math.round(heardForMs / 1000);
    throw new Refused(`${wait.what}: still ${last} after ${waited} s; ${wait.remedy}`, { cause: error });
  }
}

/** Three times what the slowest AWS call here takes in bad times: longer means that the answer is lost. */
const callMs = 30_000;
