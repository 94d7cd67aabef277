/** DRAINING: ECS places nothing more here and moves service tasks away. */

import { Refused } from '../../core/errors.ts';
import { findContainerInstance, findOtherRecords, readLocalAgent, stopPlacement } from '../container-instance.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';
import type { Departure } from './departure.ts';
import { hasReached } from './order.ts';

/** Longer than AWS is usually in trouble. The departure goes on without, when its own time is shorter. */
const patienceMs = 300_000;

/**
 * Does nothing when ECS does not know the node. A record that was drained already is not drained
 * again. `withinMs` bounds it beside the departure's own time.
 */
export async function drain(departure: Departure, signal: AbortSignal, withinMs: number = patienceMs): Promise<void> {
  const { host, config, state, drainedArns } = departure;
  const named = state.drainedAt === undefined ? undefined : await findOtherName(departure, signal);
  if (state.drainedAt !== undefined && named === undefined) return;
  const ms = Math.min(withinMs, Math.max(departure.leftMs(), 5_000));
  const containerInstance = await findContainerInstance(host, config, ms, signal);
  if (containerInstance === undefined) {
    // Logged once or twice, and not at each look for a late registration.
    if (state.ending !== 'remain' && !hasReached(state, 'hook'))
      host.log.info('nothing to drain: ECS does not know this node');
    return;
  }
  // A name that ECS does not say to be ours is not asked about every two seconds.
  if (named !== undefined) drainedArns.add(named);
  if (drainedArns.has(containerInstance.arn) && containerInstance.arn !== named) return;
  await stopPlacement(host, containerInstance, ms, signal);
  drainedArns.add(containerInstance.arn);
  if (state.drainedAt === undefined) await departure.note({ drainedAt: host.clock.now() });
  host.log.info('DRAINING', { ms: host.clock.now() - state.startedAt });
  departure.background.push(drainOthers(departure, containerInstance, ms, signal).catch(() => {}));
}

/**
 * An agent that was down while the node was drained may be back under another record, on which ECS
 * places tasks again. Only the agent on this machine is asked, which costs no call.
 */
async function findOtherName({ host, drainedArns }: Departure, signal: AbortSignal): Promise<string | undefined> {
  // After a restart of this process nobody knows which one was drained: then it is left as it is.
  if (drainedArns.size === 0) return undefined;
  const arn = (await readLocalAgent(host, signal))?.containerInstanceArn;
  return arn !== undefined && drainedArns.has(arn) ? undefined : arn;
}

/** An instance whose agent lost its state has a second record: it goes along. */
async function drainOthers(
  departure: Departure,
  first: ContainerInstanceRef,
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (const other of await findOtherRecords(departure.host, first, withinMs, signal)) {
    try {
      await stopPlacement(departure.host, other, withinMs, signal);
      departure.drainedArns.add(other.arn);
    } catch (error) {
      signal.throwIfAborted();
      await departure.trouble(`draining ${other.arn}`, error);
    }
  }
}

/** Long enough for a call in bad times, short enough to go on with what else is urgent. */
const shortMs = 10_000;

/** One short try: a failure is noted, and holds nothing up. Rejects only when stopped. */
export async function tryToDrain(departure: Departure, signal: AbortSignal): Promise<void> {
  try {
    await drain(departure, signal, shortMs);
  } catch (error) {
    signal.throwIfAborted();
    await departure.trouble('draining', error);
  }
}

/** The agent on this machine answers without a call once it has registered; until then each look may cost one. */
const againMs = 15_000;

/**
 * A node that remains has nothing else to do and all the time: it is drained as soon as ECS knows
 * it, and however long AWS is silent.
 */
export async function drainAndRemain(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host } = departure;
  for (let isLogged = false; ;) {
    try {
      await drain(departure, signal);
      if (departure.state.drainedAt !== undefined) return;
      if (!isLogged) host.log.info('will be drained as soon as ECS knows this node');
      isLogged = true;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Refused) throw error;
      await departure.trouble('draining', error);
    }
    await host.clock.sleep(againMs, signal);
  }
}
