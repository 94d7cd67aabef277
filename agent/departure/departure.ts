/** A departure in memory: its state on disk, its time, and what its phases have in common. */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';
import {
  parseState,
  paths,
  renderState,
  type DepartureState,
  type Irrevocable,
  type Registered,
} from '../../core/state/state.ts';
import { isDepartureState } from '../../core/state/state-shape.ts';
import { irrevocableOf, withTrouble } from './order.ts';

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
  /** Milliseconds since the node first heard of the cause, by uptime. */
  elapsedMs(): number;
  /** A limit of somebody else, in milliseconds since the departure began, became known. */
  limit(ms: number): void;
  /**
   * The node's own deadline moves, so that `ms` are left; one that somebody else has set does not.
   */
  extend(ms: number): Promise<void>;
  /** Changes the state and writes it down. */
  note(change: Partial<DepartureState>): Promise<void>;
  /** Writes down that a deed begins which ACTIVE does not undo. */
  noteDeed(deed: keyof Irrevocable): Promise<void>;
  /** What went wrong without stopping the departure. */
  trouble(what: string, error: unknown): Promise<void>;
  /** What runs beside the phases; awaited before the registrar is left. */
  background: Promise<void>[];
  /** Records that this process has set DRAINING. */
  drainedArns: Set<string>;
}

/**
 * A disk that takes longer than this for a kilobyte must not hold back a departure that it may be
 * the cause of.
 */
const writeMs = 2_000;

export async function readDeparture(host: Host): Promise<DepartureState | undefined> {
  const text = await host.machine.readText(paths.departure).catch(() => undefined);
  return parseState(text, host.identity.instanceId, isDepartureState);
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
  const { clock } = host;
  const startedUptime = state.uptimes?.started ?? clock.uptime() - Math.max(0, clock.now() - state.startedAt);
  let endsAt = state.uptimes?.deadline ?? clock.uptime() + Math.max(0, state.deadline - clock.now());
  // An end that somebody else has set, such as the global time-out of the hook, holds for what is
  // extended, too.
  let lastEnd = Infinity;
  const departure: Departure = {
    host,
    config,
    effects,
    state,
    background: [],
    drainedArns: new Set(),
    leftMs: () => Math.max(0, Math.min(endsAt, lastEnd) - clock.uptime()),
    elapsedMs: () => Math.max(0, clock.uptime() - (departure.state.uptimes?.cause ?? startedUptime)),
    limit: (ms) => void (lastEnd = Math.min(lastEnd, startedUptime + Math.max(0, ms))),
    async extend(ms) {
      const { uptimes, hardDeadline } = departure.state;
      const later = clock.uptime() + ms;
      if (hardDeadline === true || later <= endsAt) return;
      endsAt = later;
      await departure.note({
        deadline: Math.round(clock.now() + ms),
        uptimes: { started: startedUptime, cause: startedUptime, ...uptimes, deadline: later },
      });
    },
    async note(change) {
      departure.state = { ...departure.state, ...change };
      effects.onChange?.(departure.state);
      await writeDeparture(host, departure.state, signal);
    },
    async noteDeed(deed) {
      const irrevocable = irrevocableOf(departure.state);
      if (irrevocable[deed] === undefined)
        await departure.note({ irrevocable: { ...irrevocable, [deed]: clock.now() } });
    },
    async trouble(what, error) {
      const text = `${what}: ${messageOf(error)}`;
      host.log.warn('trouble while leaving', { what, error: messageOf(error) });
      const troubles = withTrouble(departure.state.troubles, text);
      // A trouble that comes every two seconds is written once.
      if (troubles !== departure.state.troubles) await departure.note({ troubles });
    },
  };
  return departure;
}
