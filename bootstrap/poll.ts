/**
 * How a bootstrap waits for AWS: until its own deadline. It tells "AWS gave no answer" from "AWS
 * answered, but it never happened".
 */

import type { Config } from '../config/config.ts';
import { Refused, Unavailable, Unfit, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { longestGapMs } from '../core/lasting.ts';
import { poll } from '../core/poll.ts';
import { retry, withTimeout, type RetryOptions } from '../core/retry.ts';
import type { BootstrapContext } from './step.ts';

/** Retries for as long as the bootstrap has time, and logs each failure. */
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
 * One AWS call, retried while the failure may pass. A call without an answer is given up after
 * `boundMs`, so that it can be retried.
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

/** Only people use these values, so the bootstrap waits no longer. The agent retries later. */
const briefMs = 5_000;

/**
 * One call for something optional, with a few retries. Undefined when AWS does not give it; the log
 * then says `what`. Rejects only when stopped, and for a bug.
 */
export async function tryOptional<T>(
  what: string,
  host: Host,
  context: BootstrapContext,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
  withinMs: number = briefMs,
): Promise<T | undefined> {
  const brief = { ...retryOptions(host, context, signal), withinMs: Math.min(withinMs, context.leftMs()) };
  try {
    return await retry(call, brief);
  } catch (error) {
    logOptionalFailure(what, host, error, signal);
    return undefined;
  }
}

/** Logs the failure of something optional. Throws only for a bug, and the reason of a stop. */
export function logOptionalFailure(what: string, host: Host, error: unknown, signal: AbortSignal): void {
  signal.throwIfAborted();
  if (error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError) throw error;
  host.log.warn(what, { error: messageOf(error) });
}

export interface Poll<T> {
  /**
   * The thing that the node waits for, as the beginning of an error: `OpsWorks registration of
   * i-1`.
   */
  what: string;
  /** The remedy when it never comes, as a sentence without a full stop. */
  remedy: string;
  everyMs: number;
  /** `done` when it has come, else its present state. */
  read(signal: AbortSignal): Promise<{ done: T } | { now: string }>;
}

/**
 * Polls until it is done. At the end of the bootstrap's time it throws `Unfit` only when AWS
 * answered without a gap for at least half of the bootstrap's whole time. Otherwise it throws
 * `Unavailable`: a slow or absent AWS must never terminate a node.
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
    const askedAt = host.clock.uptime();
    try {
      const seen = await withTimeout(callMs, (bounded) => awaited.read(bounded), host.clock, callSignal);
      if (askedAt - answeredAt > longestGapMs) answeringSince = undefined;
      // A late answer may describe the moment of its question.
      answeredAt = askedAt;
      answeringSince ??= host.clock.uptime();
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
    // 1 s before the bootstrap's own deadline, which would end this wait without saying why.
    const withinMs = Math.max(0, context.leftMs() - 1_000);
    const { done } = await poll(awaited.what, read, {
      ...retryOptions(host, context, signal),
      withinMs,
      everyMs: awaited.everyMs,
    });
    return done;
  } catch (error) {
    if (!(error instanceof Unavailable) || signal.aborted) throw error;
    // Counted up to the question of the last answer: while a call hung, its state was unknown.
    const answeredForMs = answeringSince === undefined ? 0 : Math.max(0, answeredAt - answeringSince);
    if (answeredForMs < config.bootstrap.timeoutSeconds * 500) throw error;
    const waited = Math.round(answeredForMs / 1000);
    const why = `${awaited.what}: still ${last} after ${waited} s; ${awaited.remedy}`;
    throw new Unfit('registration-in-time', why, { cause: error });
  }
}

/**
 * As `waitUntil`, but for at most `forMs` and for something optional. Undefined when it has not
 * come by then, or cannot be read: the node reports that and continues.
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

/** Three times the slowest AWS call seen under throttling. After that, the answer is lost. */
const callMs = 30_000;
