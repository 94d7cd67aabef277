/** Tells EventBridge that the node has left, and why. */

import { phases, type DepartureState } from '../../core/state/state.ts';
import type { NodeEvent } from '../../core/events/event-schema.ts';
import type { Departure } from './departure.ts';

/**
 * Called after AWS or the machine has accepted the end, or the hook is completed. Later calls do
 * nothing.
 */
export async function tellLeft(departure: Departure): Promise<void> {
  const { host, state } = departure;
  if (state.leftEventAt !== undefined) return;
  const now = host.clock.now();
  host.events.tell(leftEvent(state, now));
  await departure.note({ leftEventAt: now });
}

export function leftEvent(state: DepartureState, now: number): NodeEvent {
  const { cause, reason, ending, returns = false, confirmedBy, startedAt, entered, blockers, troubles } = state;
  const seen = phases.flatMap((name) => (entered[name] === undefined ? [] : [{ name, at: entered[name] }]));
  return {
    type: 'left',
    cause,
    reason,
    ending,
    returns,
    ...(confirmedBy !== undefined && { confirmedBy }),
    startedAt: new Date(startedAt).toISOString(),
    seconds: secondsBetween(startedAt, now),
    phases: seen.map(({ name, at }, index) => {
      const next = seen[index + 1]?.at;
      const took = next === undefined ? {} : { seconds: secondsBetween(at, next) };
      return { name, at: new Date(at).toISOString(), ...took };
    }),
    blockers: [...blockers],
    troubles: [...troubles],
  };
}

/** The wall clock may have jumped back. */
function secondsBetween(from: number, to: number): number {
  return Math.max(0, Math.round((to - from) / 1000));
}
