/** Sets DRAINING: ECS then places no more tasks here and moves service tasks away. */

import { Refused, messageOf } from '../../core/errors.ts';
import { poll } from '../../core/poll.ts';
import type { CloudTask } from '../../core/host.ts';
import type { DepartureState } from '../../core/state/state.ts';
import { callWithRetry } from '../calls.ts';
import { isQueueEntry } from '../leave-queue/leave-queue.ts';
import { findContainerInstance, findOtherRecords, readLocalAgent, stopPlacement } from '../container-instance.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';
import type { Departure } from './departure.ts';
import { hasBalancers, hasReached, isUrgent, onlyDrains } from './order.ts';

/**
 * Longer than most outages of AWS. The departure continues without DRAINING when its own time is
 * shorter.
 */
const patienceMs = 300_000;

/**
 * Does nothing when ECS does not know the node, and drains no record twice. `withinMs` limits it in
 * addition to the departure's own time.
 */
export async function drain(departure: Departure, signal: AbortSignal, withinMs: number = patienceMs): Promise<void> {
  const { host, config, state, drainedArns } = departure;
  const named = state.drainedAt === undefined ? undefined : await findOtherName(departure, signal);
  if (state.drainedAt !== undefined && named === undefined) return;
  const ms = Math.min(withinMs, Math.max(departure.leftMs(), 5_000));
  const containerInstance = await findContainerInstance(host, config, ms, signal);
  if (containerInstance === undefined) {
    // Logged only in the early phases, and not at each check for a late registration.
    if (state.ending !== 'remain' && !hasReached(state, 'hook'))
      host.log.info('nothing to drain: ECS does not know this node');
    return;
  }
  // If ECS does not confirm this record as ours, the node does not ask about it every two seconds.
  if (named !== undefined && named !== containerInstance.arn) drainedArns.add(named);
  if (drainedArns.has(containerInstance.arn)) return;
  await setDraining(departure, containerInstance, ms, signal);
  drainedArns.add(containerInstance.arn);
  if (state.drainedAt === undefined) {
    await departure.note({ drainedAt: host.clock.now() });
    const { cause, reason, ending, deadline } = departure.state;
    host.events.tell({ type: 'draining', cause, reason, ending, deadline: new Date(deadline).toISOString() });
  }
  host.log.info('DRAINING', { ms: host.clock.now() - state.startedAt });
  departure.background.push(drainOthers(departure, containerInstance, ms, signal).catch(() => {}));
  if (marksDraining(state)) departure.background.push(markAsOwn(departure, containerInstance, ms, signal));
}

/** A call without an answer may take effect after the departure is undone (`openLateDraining`). */
async function setDraining(
  { host, effects }: Departure,
  record: ContainerInstanceRef,
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    await stopPlacement(host, record, withinMs, signal);
  } catch (error) {
    if (!(error instanceof Refused)) effects.onLostDraining?.();
    throw error;
  }
}

/**
 * Whether the departure marks its draining in the node's record. A node that queued for its cause
 * has that attribute already, and a new time would requeue it. A sweep leaves a node alone that its
 * group terminates, and EC2 takes a spot instance within minutes.
 */
function marksDraining({ ending, cause }: Pick<DepartureState, 'ending' | 'cause'>): boolean {
  return ending !== 'await' && !isQueueEntry(cause);
}

/**
 * A node that stays DRAINING for long says so in an attribute of its record: a sweep that drained
 * it before, because its ECS agent was away, must not make it ACTIVE. Never throws.
 */
async function markAsOwn(
  { host, state: { cause } }: Departure,
  { cluster, arn }: ContainerInstanceRef,
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  const mark = (callSignal: AbortSignal) => host.cloud.queueToLeave(cluster, arn, cause, host.clock.now(), callSignal);
  try {
    await callWithRetry(host, withinMs, signal, mark);
  } catch (error) {
    if (signal.aborted) return;
    host.log.warn('a sweep may make this node ACTIVE: its draining is not marked', { error: messageOf(error) });
  }
}

/**
 * An ECS agent that was down during the draining may come back under another record, on which ECS
 * places tasks again. Only the local ECS agent is asked, which costs no AWS call.
 */
async function findOtherName({ host, drainedArns }: Departure, signal: AbortSignal): Promise<string | undefined> {
  // After a restart, this process does not know which record was drained, so it drains no other.
  if (drainedArns.size === 0) return undefined;
  const arn = (await readLocalAgent(host, signal))?.containerInstanceArn;
  return arn !== undefined && drainedArns.has(arn) ? undefined : arn;
}

/**
 * An ECS agent that lost its state leaves a second record behind. That record is drained as well.
 */
async function drainOthers(
  departure: Departure,
  first: ContainerInstanceRef,
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (const other of await findOtherRecords(departure.host, first, withinMs, signal)) {
    try {
      await setDraining(departure, other, withinMs, signal);
      departure.drainedArns.add(other.arn);
    } catch (error) {
      signal.throwIfAborted();
      await departure.trouble(`draining ${other.arn}`, error);
    }
  }
}

/** Long enough for a call under throttling, and short enough to continue with other urgent work. */
const shortMs = 10_000;

/** One short try. A failure is recorded and delays nothing. Rejects only when stopped. */
export async function tryToDrain(departure: Departure, signal: AbortSignal): Promise<'tried' | 'refused'> {
  try {
    await drain(departure, signal, shortMs);
    return 'tried';
  } catch (error) {
    signal.throwIfAborted();
    await departure.trouble('draining', error);
    return error instanceof Refused ? 'refused' : 'tried';
  }
}

/**
 * Sets DRAINING again where ECS reports a drained record as ACTIVE, or a task has come since the
 * last look: the call that undid an earlier departure may have timed out, and have taken effect
 * after the node was drained. Asks ECS nothing while no task comes. True when it is DRAINING again.
 * A failure is recorded, and tried again with a later look.
 */
export function openDrainAgain(
  departure: Departure,
  records: readonly ContainerInstanceRef[],
): (listed: readonly CloudTask[], signal: AbortSignal) => Promise<boolean> {
  const { host, state } = departure;
  let known: Set<string> | undefined;
  let isDue = state.drainedAt !== undefined && records.some(({ status }) => status === 'ACTIVE');
  let earliestAt = 0;
  return async (listed, signal) => {
    isDue ||= known !== undefined && listed.some(({ arn }) => !known?.has(arn));
    known = new Set([...(known ?? []), ...listed.map(({ arn }) => arn)]);
    if (!isDue || host.clock.uptime() < earliestAt) return false;
    earliestAt = host.clock.uptime() + againMs;
    try {
      for (const record of records) await setDraining(departure, record, shortMs, signal);
      isDue = false;
      host.log.info('DRAINING again');
    } catch (error) {
      signal.throwIfAborted();
      await departure.trouble('draining again', error);
    }
    return !isDue;
  };
}

/**
 * Stops placement before the departure is announced. It waits only when load balancers must be left
 * first and there is time for that.
 */
export async function drainImmediately(departure: Departure, signal: AbortSignal): Promise<void> {
  const { state, config } = departure;
  // ECS starts after the bootstrap. Where it runs already, the node may be in service, and its
  // tasks stay until a second source agrees.
  if (state.cause === 'bootstrap-failed') return;
  const waits = hasBalancers(departure) && !isUrgent(state, config, departure.leftMs()) && !onlyDrains(state);
  if (waits || hasReached(state, 'registrar')) return;
  await tryToDrain(departure, signal);
}

/**
 * A registered local ECS agent answers without an AWS call. Until it has registered, each check may
 * cost one.
 */
const againMs = 15_000;

/**
 * Retries until ECS knows the node and DRAINING is set, however long AWS is silent. A node that
 * remains has no other work and no deadline.
 */
export async function drainAndRemain(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host } = departure;
  let isLogged = false;
  await pollDraining(departure, signal, async (callSignal) => {
    await drain(departure, callSignal);
    if (departure.state.drainedAt !== undefined) return true;
    if (!isLogged) host.log.info('will be drained as soon as ECS knows this node');
    isLogged = true;
    return undefined;
  });
}

/**
 * Drains each further record under which the ECS agent registers: a person drained the node, not
 * its record. Runs until the signal of the departure aborts.
 */
export async function keepDrained(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, drainedArns } = departure;
  await pollDraining(departure, signal, async (callSignal) => {
    if (drainedArns.size > 0) {
      await drain(departure, callSignal);
      return undefined;
    }
    // After a restart of the agent: its predecessor has drained the record of that time.
    const arn = (await readLocalAgent(host, callSignal))?.containerInstanceArn;
    if (arn !== undefined) drainedArns.add(arn);
    return undefined;
  });
}

async function pollDraining(
  departure: Departure,
  signal: AbortSignal,
  read: (signal: AbortSignal) => Promise<true | undefined>,
): Promise<void> {
  await poll('DRAINING', read, {
    clock: departure.host.clock,
    signal,
    withinMs: Infinity,
    everyMs: againMs,
    // A person may mend a refusal.
    retryIf: () => true,
    onRetry: (error) => departure.trouble('draining', error),
  });
}
