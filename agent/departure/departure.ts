/** A departure in memory: its state on disk, its time, and what its phases have in common. */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';
import { parseState, paths, renderState, type DepartureState, type Registered } from '../../core/state/state.ts';
import { isDepartureState } from '../../core/state/state-shape.ts';
import { withTrouble } from './order.ts';

/** What is composed in, since a departure knows no registrar. */
export interface DepartureEffects {
  /** Takes the node out of the registrar that it is registered with. Idempotent. */
  deregister(host: Host, registered: Registered, signal: AbortSignal): Promise<void>;
  /** Told of every change, for `ecs-node status`. */
  onChange?(state: DepartureState): void;
}

export interface Departure {
  host: Host;
  config: Config;
  effects: DepartureEffects;
  state: DepartureState;
  /** Milliseconds until everything must be done; never negative. */
  leftMs(): number;
  /** Somebody else's limit, in milliseconds since the departure began, became known. */
  limit(ms: number): void;
  /** Changes the state and writes it down. */
  note(change: Partial<DepartureState>): Promise<void>;
  /** What went wrong without stopping the departure. */
  trouble(what: string, error: unknown): Promise<void>;
  /** What runs beside the phases; awaited before the registrar is left. */
  background: Promise<void>[];
}

/**
 * A disk that takes longer than this for a kilobyte must not hold back a departure that it may be
 * the cause of.
 */
const writeMs = 2_000;

export async function readDeparture(host: Host): Promise<DepartureState | undefined> {
  const text = await host.machine.readText(paths.departure).catch(() => undefined);
  return parseState<DepartureState>(text, host.identity.instanceId, isDepartureState);
}

/**
 * The disk may be full or broken, which is no reason to stay: what cannot be written (false) is
 * only logged.
 */
export async function writeDeparture(host: Host, state: DepartureState, signal: AbortSignal): Promise<boolean> {
  try {
    await withTimeout(writeMs, () => host.machine.writeText(paths.departure, renderState(state)), host.clock, signal);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    host.log.error('departure not written', { error: messageOf(error) });
    return false;
  }
}

/** A full disk takes no new word, but forgets. */
export async function forgetDeparture(host: Host, signal: AbortSignal): Promise<void> {
  try {
    await withTimeout(writeMs, () => host.machine.remove(paths.departure), host.clock, signal);
  } catch (error) {
    signal.throwIfAborted();
    host.log.error('departure not removed', { error: messageOf(error) });
  }
}

export function openDeparture(
  host: Host,
  config: Config,
  effects: DepartureEffects,
  state: DepartureState,
  signal: AbortSignal,
): Departure {
  // The wall clock may jump while the node leaves; durations do not.
  let endsAt = host.clock.uptime() + Math.max(0, state.deadline - host.clock.now());
  const departure: Departure = {
    host,
    config,
    effects,
    state,
    background: [],
    leftMs: () => Math.max(0, endsAt - host.clock.uptime()),
    limit(ms) {
      const elapsedMs = Math.max(0, host.clock.now() - state.startedAt);
      endsAt = Math.min(endsAt, host.clock.uptime() + Math.max(0, ms - elapsedMs));
    },
    async note(change) {
      departure.state = { ...departure.state, ...change };
      effects.onChange?.(departure.state);
      await writeDeparture(host, departure.state, signal);
    },
    async trouble(what, error) {
      const text = `${what}: ${messageOf(error)}`;
      host.log.warn('trouble while leaving', { what, error: messageOf(error) });
      const troubles = withTrouble(departure.state.troubles, text);
      // What goes wrong every two seconds is written once.
      if (troubles !== departure.state.troubles) await departure.note({ troubles });
    },
  };
  return departure;
}
