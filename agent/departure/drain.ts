/** DRAINING: ECS places nothing more here and moves service tasks away. */

import { Refused } from '../../core/errors.ts';
import { findContainerInstance, stopPlacement } from '../container-instance.ts';
import type { Departure } from './departure.ts';
import { hasReached } from './order.ts';

/**
 * Longer than AWS is usually in trouble; the departure goes on without when its own time is
 * shorter.
 */
const patienceMs = 300_000;

/**
 * Does nothing when ECS does not know the node, or has confirmed before. `withinMs` bounds it
 * beside the departure's own time.
 */
export async function drain(departure: Departure, signal: AbortSignal, withinMs: number = patienceMs): Promise<void> {
  const { host, config, state } = departure;
  if (state.drainedAt !== undefined) return;
  const ms = Math.min(withinMs, Math.max(departure.leftMs(), 5_000));
  const containerInstance = await findContainerInstance(host, config, ms, signal);
  if (containerInstance === undefined) {
    // Told once or twice, and not every time that a latecomer is looked for.
    if (state.ending !== 'remain' && !hasReached(state, 'hook'))
      host.log.info('nothing to drain: ECS does not know this node');
    return;
  }
  await stopPlacement(host, containerInstance, ms, signal);
  await departure.note({ drainedAt: host.clock.now() });
  host.log.info('DRAINING', { ms: host.clock.now() - state.startedAt });
}

/** Long enough for a call in bad times, short enough to go on with what else is urgent. */
const shortMs = 10_000;

/** One short try: what goes wrong is noted, and holds nothing up. Rejects only when stopped. */
export async function tryToDrain(departure: Departure, signal: AbortSignal): Promise<void> {
  try {
    await drain(departure, signal, shortMs);
  } catch (error) {
    signal.throwIfAborted();
    await departure.trouble('draining', error);
  }
}

/**
 * The agent on this machine answers without a call as soon as it has registered; until then each
 * look may cost one.
 */
const againMs = 15_000;

/**
 * Who remains has nothing else to do and all the time: drained as soon as ECS knows the node, and
 * however long AWS is silent.
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
