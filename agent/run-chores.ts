/**
 * Does each chore again and again, each in a loop of its own; what fails is told once and never
 * condemns the node.
 */

import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { withTimeout } from '../core/retry.ts';
import type { Chore } from '../upkeep/chore.ts';
import type { ChoreStatus, StatusBook } from './status.ts';

/**
 * Bootstrap has done what must not wait; the rest is spread, so that a start is not a pile of work.
 */
const firstWithinMs = 10_000;

/** Until the node is in service: what waits for that comes soon after it, whatever its interval. */
const serviceCheckMs = 5_000;

/** A round that takes longer than its interval must not become a busy loop. */
const leastPauseShare = 0.25;

export interface ChoreContext {
  host: Host;
  chores: readonly Chore[];
  book: StatusBook;
  /** Aborts when the node is about to leave; undefined while it is not in service, or leaves. */
  inService(): AbortSignal | undefined;
  /** Told after each round that changed something. */
  onChange?: (name: Chore['name']) => void;
  /** Between 0 and 1; default Math.random. */
  random?: () => number;
}

/** Runs until the signal aborts; there must be something to do. */
export async function runChores(context: ChoreContext, signal: AbortSignal): Promise<never> {
  await Promise.all(context.chores.map((chore) => runChoreRepeatedly(context, chore, signal)));
  throw new TypeError('there is nothing to keep up to date');
}

async function runChoreRepeatedly(context: ChoreContext, chore: Chore, signal: AbortSignal): Promise<never> {
  const { host, random = Math.random } = context;
  await host.clock.sleep(random() * Math.min(firstWithinMs, chore.everyMs), signal);
  for (;;) {
    const began = host.clock.uptime();
    const service = chore.afterJoin === true ? context.inService() : signal;
    if (service === undefined) {
      await host.clock.sleep(Math.min(serviceCheckMs, chore.everyMs), signal);
      continue;
    }
    await runChoreOnce(context, chore, service, signal);
    // Never later than promised, and not in step with the rest of the fleet.
    const everyMs = chore.everyMs * (0.8 + 0.2 * random());
    await host.clock.sleep(Math.max(everyMs * leastPauseShare, everyMs - (host.clock.uptime() - began)), signal);
  }
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
    if (outcome === 'changed') context.onChange?.(chore.name);
  } catch (error) {
    signal.throwIfAborted();
    // Cut off because the node leaves: neither done nor failed.
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
  // The same trouble every few minutes would fill the journal.
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
