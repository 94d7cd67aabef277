/** DRAINING: ECS places nothing more here and moves service tasks away. */

import { findPlace, stopPlacement } from '../container-instance.ts';
import type { Departure } from './departure.ts';

/** Longer than AWS is usually in trouble; the departure goes on without when its own time is shorter. */
const patienceMs = 300_000;

/** Does nothing when ECS does not know the node, or has confirmed before. `withinMs` bounds it beside the departure's own time. */
export async function drain(departure: Departure, signal: AbortSignal, withinMs: number = patienceMs): Promise<void> {
  const { host, config, state } = departure;
  if (state.drainedAt !== undefined) return;
  const ms = Math.min(withinMs, Math.max(departure.leftMs(), 5_000));
  const place = await findPlace(host, config, ms, signal);
  if (place === undefined) {
    host.log.info('nothing to drain: ECS does not know this node');
    return;
  }
  await stopPlacement(host, place, ms, signal);
  await departure.note({ drainedAt: host.clock.now() });
  host.log.info('DRAINING', { ms: host.clock.now() - state.startedAt });
}
