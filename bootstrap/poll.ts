/**
 * How a bootstrap waits for AWS: until its own deadline, and telling "no answer" from "answered,
 * but never did".
 */

import type { Config } from '../config/config.ts';
import { Refused, Unavailable, Unfit, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { retry, poll, withTimeout, type RetryOptions } from '../core/retry.ts';
import type { BootstrapContext } from './step.ts';

/** As patient as the bootstrap has time. Logs each failure. */
export function retryOptions(host: Host, context: BootstrapContext, signal: AbortSignal): RetryOptions {
  return {
    clock: host.clock,
    signal,
    withinMs: context.leftMs(),
    onRetry: (error, pauseMs) =>
      host.log.warn('will try again', { error: messageOf(error), pauseMs: Math.round(pauseMs) }),
  };
}

/**
 * One AWS call, repeated while it may heal. A call without an answer is given up after `boundMs`,
 * so that it can be repeated.
 */
export function callWithRetry<T>(
  host: Host,
  context: BootstrapContext,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
  boundMs: number = callMs,
): Promise<T> {
  return retry((callSignal) => withTimeout(boundMs, call, host.clock, callSignal), retryOptions(host, context, signal));
}

/**
 * What only people look at is worth this wait and no more. The agent, which has time, tries again
 * later.
 */
const niceMs = 5_000;

/**
 * One call for something that the node can do without: a few tries, and undefined for whatever AWS
 * answered then, told as `what`. Rejects only when stopped, and for a bug.
 */
export async function askNicely<T>(
  what: string,
  host: Host,
  context: BootstrapContext,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const brief = { ...retryOptions(host, context, signal), withinMs: Math.min(niceMs, context.leftMs()) };
  try {
    return await retry(call, brief);
  } catch (error) {
    tellNicety(what, host, error, signal);
    return undefined;
  }
}

/** Logs what went wrong with a nicety; throws on only what is a bug, and the reason of a stop. */
export function tellNicety(what: string, host: Host, error: unknown, signal: AbortSignal): void {
  signal.throwIfAborted();
  if (error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError) throw error;
  host.log.warn(what, { error: messageOf(error) });
}

export interface Poll<T> {
  /** What the node waits for, as the beginning of an error: `OpsWorks registration of i-1`. */
  what: string;
  /** What to look at when it never comes, as a sentence without a full stop. */
  remedy: string;
  everyMs: number;
  /** `done` when it has come, else what it looks like now. */
  read(signal: AbortSignal): Promise<{ done: T } | { now: string }>;
}

/**
 * Looks until it is done. At the end of the bootstrap's time it throws `Unfit` when the other side
 * answered all along and had at least half of the bootstrap's whole time, else `Unavailable`: slow
 * or absent AWS must never cost a node its life.
 */
export async function waitUntil<T>(
  awaited: Poll<T>,
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<T> {
  let answeringSince: number | undefined;
  let answeredAt = 0;
  let last = 'unknown';
  const read = async (callSignal: AbortSignal) => {
    try {
      const seen = await withTimeout(callMs, (bounded) => awaited.read(bounded), host.clock, callSignal);
      answeredAt = host.clock.uptime();
      answeringSince ??= answeredAt;
      if ('done' in seen) return seen;
      if (seen.now !== last) host.log.info('waiting', { what: awaited.what, now: seen.now });
      last = seen.now;
      return undefined;
    } catch (error) {
      answeringSince = undefined;
      throw error;
    }
  };
  try {
    // A little before the bootstrap's own deadline, which would cut this off without a reason.
    const withinMs = Math.max(0, context.leftMs() - 1_000);
    const { done } = await poll(awaited.what, read, {
      ...retryOptions(host, context, signal),
      withinMs,
      everyMs: awaited.everyMs,
    });
    return done;
  } catch (error) {
    if (!(error instanceof Unavailable) || signal.aborted) throw error;
    // Up to the last answer: while a call hung, nobody knows what happened.
    const answeredForMs = answeringSince === undefined ? 0 : answeredAt - answeringSince;
    if (answeredForMs < config.bootstrap.timeoutSeconds * 500) throw error;
    const waited = Math.round(answeredForMs / 1000);
    const why = `${awaited.what}: still ${last} after ${waited} s; ${awaited.remedy}`;
    throw new Unfit('registration-in-time', why, { cause: error });
  }
}

/**
 * As `waitUntil`, for at most `forMs`, and for something that the node can do without. Undefined
 * when it has not come by then, or cannot be seen: the node says so and goes on.
 */
export async function waitAWhile<T>(
  wait: Poll<T>,
  forMs: number,
  host: Host,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<T | undefined> {
  let last = 'unknown';
  const look = async (callSignal: AbortSignal) => {
    const seen = await withTimeout(callMs, (bounded) => wait.read(bounded), host.clock, callSignal);
    if ('done' in seen) return seen;
    last = seen.now;
    return undefined;
  };
  try {
    const time = { ...retryOptions(host, context, signal), withinMs: Math.max(0, forMs), everyMs: wait.everyMs };
    return (await poll(wait.what, look, time)).done;
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unavailable || error instanceof Unfit)) throw error;
    signal.throwIfAborted();
    host.log.warn('goes on without', { what: wait.what, now: last, error: messageOf(error), remedy: wait.remedy });
    await host.machine.say(`ecs-node: goes on without ${wait.what} (${messageOf(error)}): ${wait.remedy}`);
    return undefined;
  }
}

/**
 * Three times what the slowest AWS call here takes in bad times: longer means that the answer is
 * lost.
 */
const callMs = 30_000;
