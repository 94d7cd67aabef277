/**
 * Runs each chore again and again, each in its own loop. A failure is logged once and never
 * condemns the node.
 */

import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { everyInterval } from '../core/interval.ts';
import { withTimeout } from '../core/retry.ts';
import type { Chore } from '../upkeep/chore.ts';
import type { ChoreStatus, StatusBook } from './status.ts';

/**
 * The bootstrap has done the urgent part. A random start within 10 s spreads the rest, so that the
 * agent's start is not a peak of work.
 */
const firstWithinMs = 10_000;

/**
 * The check interval for chores that wait until the node is in service: they then run soon after
 * it, whatever their own interval.
 */
const serviceCheckMs = 5_000;

export interface ChoreContext {
  host: Host;
  chores: readonly Chore[];
  book: StatusBook;
  /**
   * A signal that aborts when the node is about to leave. Undefined while the node is not in
   * service, or leaves.
   */
  inService(): AbortSignal | undefined;
  /** Between 0 and 1; default Math.random. */
  random?: () => number;
}

/** Runs until the signal aborts. At least one chore must be configured. */
export async function runChores(context: ChoreContext, signal: AbortSignal): Promise<never> {
  await Promise.all(context.chores.map((chore) => runChoreRepeatedly(context, chore, signal)));
  throw new TypeError('there is nothing to keep up to date');
}

async function runChoreRepeatedly(context: ChoreContext, chore: Chore, signal: AbortSignal): Promise<never> {
  const { host, random } = context;
  const { everyMs } = chore;
  const interval = { everyMs, firstWithinMs: Math.min(firstWithinMs, everyMs), random };
  return everyInterval(host.clock, interval, signal, async () => {
    const service = chore.afterJoin === true ? context.inService() : signal;
    if (service === undefined) return Math.min(serviceCheckMs, everyMs);
    await runChoreOnce(context, chore, service, signal);
    return undefined;
  });
}

async function runChoreOnce(
  context: ChoreContext,
  chore: Chore,
  service: AbortSignal,
  signal: AbortSignal,
): Promise<void> {
  const { host } = context;
  const choreSignal = AbortSignal.any([signal, service]);
  try {
    const outcome = await withTimeout(
      chore.deadlineMs,
      (callSignal) => chore.run(host, callSignal),
      host.clock,
      choreSignal,
    );
    record(context, chore.name, outcome);
  } catch (error) {
    signal.throwIfAborted();
    // Interrupted because the node leaves: neither done nor failed.
    if (!choreSignal.aborted) record(context, chore.name, 'failed', messageOf(error));
  }
}

function record(
  { host, book }: ChoreContext,
  name: Chore['name'],
  outcome: ChoreStatus['outcome'],
  error?: string,
): void {
  const before = book.read().chores?.[name];
  const now = host.clock.now();
  // Only a new error is logged: the same one every few minutes would fill the journal.
  if (error !== undefined && error !== before?.error) host.log.warn('chore failed', { chore: name, error });
  if (error === undefined && before?.error !== undefined) host.log.info('chore works again', { chore: name });
  if (outcome === 'changed') host.log.info('brought up to date', { chore: name });
  const changedAt = outcome === 'changed' ? now : before?.changedAt;
  const next: ChoreStatus = {
    outcome,
    at: now,
    ...(changedAt !== undefined && { changedAt }),
    ...(error !== undefined && { error, failingSince: before?.failingSince ?? now }),
  };
  book.change((status) => ({ ...status, chores: { ...status.chores, [name]: next } }));
}
