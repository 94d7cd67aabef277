/**
 * A departure in memory: its state on disk, its time limits, and the functions that its phases
 * share.
 */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import type { openLasting } from '../../core/lasting.ts';
import { retry, withTimeout } from '../../core/retry.ts';
import { paths, renderState, type DepartureState, type Irrevocable, type Registered } from '../../core/state/state.ts';
import { readState } from '../../core/state/read-state.ts';
import { isDepartureState } from '../../core/state/state-shape.ts';
import { retryUntilDone } from '../calls.ts';
import { irrevocableOf, withTrouble } from './order.ts';

/** The effects that the caller supplies: a departure knows no registrar. */
export interface DepartureEffects {
  /** Removes the node from the registrar that it is registered with. Idempotent. */
  deregister(host: Host, registered: Registered, signal: AbortSignal): Promise<void>;
  /** Called after every change, for `ecs-node status`. */
  onChange?(state: DepartureState): void;
  /** The state in this process's memory. A full disk may have refused to store it. */
  lastState?(): DepartureState | undefined;
  /** Called when the disk refused the state, also long after `note` has given up waiting. */
  onRefused?(): void;
  /** The container instances (ARNs) that these departures have set to DRAINING. */
  drainedArns?: Set<string>;
  /** Called when a call that sets DRAINING got no answer: ECS may still carry it out. */
  onLostDraining?(): void;
  /** The state stays in memory: this is an order beside the departure on disk. */
  isBeside?: true;
}

export interface Departure {
  host: Host;
  config: Config;
  effects: DepartureEffects;
  state: DepartureState;
  /** Milliseconds until the deadline; never negative. */
  leftMs(): number;
  /** Milliseconds since the node first saw the cause, by uptime. */
  elapsedMs(): number;
  /**
   * Sets a limit from outside the node, in milliseconds since the node first saw the cause. The
   * hook of a scale-in begins then, whatever the node was leaving for before.
   */
  limit(ms: number): void;
  /**
   * Moves the node's own deadline so that at least `ms` are left. A deadline from outside does not
   * move.
   */
  extend(ms: number): Promise<void>;
  /** Changes the state and writes it to disk. */
  note(change: Partial<DepartureState>): Promise<void>;
  /** Writes to disk that an action begins which ACTIVE does not undo. */
  noteDeed(deed: keyof Irrevocable): Promise<void>;
  /** Records a failure that does not stop the departure. */
  trouble(what: string, error: unknown): Promise<void>;
  /** The uptime at which the second source was last asked. */
  askedAt?: number;
  /** This process has seen tasks on the node, and then that none is left but daemon tasks. */
  isEmptied?: boolean;
  /** Whether EC2 has named no spot request of this instance for a while. */
  lacksSpotRequest?: ReturnType<typeof openLasting>;
  /** Work that runs during the phases; awaited before the node leaves its registrar. */
  background: Promise<void>[];
  /** The container instances (ARNs) that this process has set to DRAINING. */
  drainedArns: Set<string>;
}

/**
 * A kilobyte takes milliseconds. A disk that needs longer may be the cause of the departure, and
 * must not delay it.
 */
const writeMs = 2_000;

/**
 * Reads again when the machine has no file descriptor or no memory for a moment: a node without its
 * departure would stay DRAINING, run its hooks twice, or bootstrap while it leaves. `unread`: the
 * disk does not answer for longer, and a departure may be on it.
 */
export async function readDeparture(
  host: Host,
  signal: AbortSignal,
  withinMs: number = readAgainMs,
): Promise<DepartureState | 'unread' | undefined> {
  const { clock, log } = host;
  const times = { clock, signal, withinMs, pauseMs: readPauseMs, maxPauseMs: readAgainMs };
  try {
    return await retry(() => readFile(host), times);
  } catch (error) {
    signal.throwIfAborted();
    log.error('departure not read', { error: messageOf(error) });
    return 'unread';
  }
}

/** Reads until the disk answers. A departure that is never read leaves the node DRAINING. */
export function awaitDeparture(host: Host, signal: AbortSignal): Promise<DepartureState | undefined> {
  return retryUntilDone(host, 'departure not read yet', { pauseMs: readAgainMs }, signal, () => readFile(host));
}

/**
 * Reads again, for the same reason: without it, this boot counts as a new one, and the node as back
 * from its departure. Empty when it stays unreadable.
 */
export async function readBootId({ machine, clock }: Host, signal: AbortSignal): Promise<string> {
  const times = { clock, signal, withinMs: readAgainMs, pauseMs: readPauseMs, retryIf: () => true };
  return retry(() => machine.readBootId(), times).catch(() => {
    signal.throwIfAborted();
    return '';
  });
}

/** Nothing is watched meanwhile, and a spot notice leaves two minutes. */
const readAgainMs = 5_000;
const readPauseMs = 500;

function readFile(host: Host): Promise<DepartureState | undefined> {
  return readState<DepartureState>(host, paths.departure, isDepartureState);
}

/** A full or broken disk is no reason to stay: a failed write (false) is only logged. */
export async function writeDeparture(
  host: Host,
  state: DepartureState,
  signal: AbortSignal,
  onRefused: () => void = () => {},
): Promise<boolean> {
  const write = () => {
    const writing = host.machine.writeText(paths.departure, renderState(state));
    writing.catch(onRefused);
    return writing;
  };
  try {
    await withTimeout(writeMs, write, host.clock, signal);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    host.log.error('departure not written', { error: messageOf(error) });
    return false;
  }
}

/** Each try costs a line in the log, and a full disk is mostly freed within minutes. */
const writeAgainMs = 20_000;

/**
 * Returns a listener for `onRefused`. It writes the state of that time again, until the disk takes
 * it or the signal aborts: a kill or a reboot would forget the departure. A write that hangs is not
 * repeated, because each one occupies a thread.
 */
export function openRewriting(
  host: Host,
  readCurrent: () => DepartureState | undefined,
  signal: AbortSignal,
): () => void {
  let isWaiting = false;
  const writeLater = async () => {
    await host.clock.sleep(writeAgainMs, signal);
    isWaiting = false;
    const state = readCurrent();
    if (state !== undefined) await writeDeparture(host, state, signal, onRefused);
  };
  const onRefused = () => {
    if (isWaiting) return;
    isWaiting = true;
    // Only a stop rejects it.
    writeLater().catch(() => {});
  };
  return onRefused;
}

/** A full disk refuses new data, but still allows removing a file. */
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
  const causeUptime = () => departure.state.uptimes?.cause ?? startedUptime;
  let endsAt = state.uptimes?.deadline ?? clock.uptime() + Math.max(0, state.deadline - clock.now());
  // An end set from outside, such as the hook's global timeout, also limits an extended deadline.
  let lastEnd = Infinity;
  const departure: Departure = {
    host,
    config,
    effects,
    state,
    background: [],
    drainedArns: effects.drainedArns ?? new Set(),
    leftMs: () => Math.max(0, Math.min(endsAt, lastEnd) - clock.uptime()),
    elapsedMs: () => Math.max(0, clock.uptime() - causeUptime()),
    limit: (ms) => void (lastEnd = Math.min(lastEnd, causeUptime() + Math.max(0, ms))),
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
      if (effects.isBeside !== true) await writeDeparture(host, departure.state, signal, effects.onRefused);
    },
    async noteDeed(deed) {
      const irrevocable = irrevocableOf(departure.state);
      if (irrevocable[deed] !== undefined) return;
      // A departure that was called off does nothing more. With the note, it would be too late.
      signal.throwIfAborted();
      await departure.note({ irrevocable: { ...irrevocable, [deed]: clock.now() } });
    },
    async trouble(what, error) {
      const text = `${what}: ${messageOf(error)}`;
      host.log.warn('trouble while leaving', { what, error: messageOf(error) });
      const troubles = withTrouble(departure.state.troubles, text);
      // A failure that repeats every two seconds is written once.
      if (troubles !== departure.state.troubles) await departure.note({ troubles });
    },
  };
  return departure;
}
