/**
 * Pure: which of several orders to leave counts, and what a new one changes in a departure under
 * way.
 */

import type { Config } from '../../config/config.ts';
import { causes, phases, type DepartureState, type Irrevocable, type Phase } from '../../core/state/state.ts';
import type { Order, Watcher } from '../watching/watcher.ts';

/** A decision of somebody else outranks the node's own, and an end outranks staying. */
const strength = { remain: 0, terminate: 1, await: 2 };

/** The last phases (registrar, farewell, hook) may take this long beside draining. */
const lastPhasesMs = 600_000;

/** EC2 gives a spot instance two minutes, whatever the wall clock makes of the notice. */
export const spotNoticeMs = 120_000;

export function strictest(orders: readonly Order[]): Order | undefined {
  const [first, ...others] = orders.toSorted(
    (a, b) => strength[b.ending] - strength[a.ending] || (a.deadline ?? Infinity) - (b.deadline ?? Infinity),
  );
  if (first === undefined) return undefined;
  // A machine that is to be terminated as well does not come back.
  const returns =
    first.returns === true && others.every((other) => other.returns === true || other.ending === 'remain');
  const all = [first, ...others];
  const deadlines = all.flatMap(({ deadline }) => deadline ?? []);
  const uptimes = all.flatMap(({ deadlineUptime }) => deadlineUptime ?? []);
  const { returns: _returns, ...rest } = first;
  return {
    ...rest,
    ...(deadlines.length > 0 && { deadline: Math.min(...deadlines) }),
    ...(uptimes.length > 0 && { deadlineUptime: Math.min(...uptimes) }),
    ...(returns && { returns }),
  };
}

/** How long a departure may take when nobody sets a deadline. */
export function plannedMs({ leave }: Config): number {
  const balancersMs =
    leave.targetGroups.length + leave.loadBalancers.length > 0 ? leave.deregistrationSeconds * 1000 : 0;
  return balancersMs + (leave.drainSeconds + leave.steadyClusterSeconds) * 1000 + lastPhasesMs;
}

export function beginState(
  order: Order,
  config: Config,
  instanceId: string,
  bootId: string,
  now: number,
): DepartureState {
  const { cause, reason, key, ending, deadline, undoAfterMs, returns } = order;
  return {
    instanceId,
    bootId,
    cause,
    reason,
    startedAt: now,
    deadline: Math.min(deadline ?? Infinity, now + plannedMs(config)),
    ending,
    phase: 'announce',
    entered: {},
    blockers: [],
    troubles: [],
    irrevocable: {},
    ...(key !== undefined && { key }),
    ...(deadline !== undefined && { hardDeadline: true as const }),
    ...(undoAfterMs !== undefined && { undoAt: now + undoAfterMs }),
    ...(returns && { returns }),
  };
}

/** What the clocks say. */
export interface Now {
  now: number;
  uptime: number;
}

/**
 * The state with its times by uptime. Those of an earlier process hold when it ran in this boot;
 * after a reboot, and in a file of 0.1.0, there is only the wall clock.
 */
export function withUptimes(state: DepartureState, order: Order, isSameBoot: boolean, at: Now): DepartureState {
  const kept = isSameBoot ? state.uptimes : undefined;
  const started = kept?.started ?? at.uptime - Math.max(0, at.now - state.startedAt);
  const isNewCause = kept === undefined || order.cause !== state.cause || order.key !== state.key;
  const byWall = (deadline: number) => at.uptime + Math.max(0, deadline - at.now);
  const most = state.cause === 'spot' ? at.uptime + spotNoticeMs : Infinity;
  const deadline = Math.min(
    kept?.deadline ?? byWall(state.deadline),
    order.deadlineUptime ?? (order.deadline === undefined ? Infinity : byWall(order.deadline)),
    most,
  );
  return { ...state, uptimes: { ...kept, started, cause: isNewCause ? at.uptime : kept.cause, deadline } };
}

export function hasReached(state: DepartureState, phase: Phase): boolean {
  return phases.indexOf(state.phase) >= phases.indexOf(phase);
}

/** Whether the order is a new one for a departure that is over, or was undone. */
export function isOver(state: DepartureState): boolean {
  return state.undoneAt !== undefined || state.phase === 'done';
}

/** The departure with the order taken into account; the same object when it changes nothing. */
export function merge(state: DepartureState, order: Order): DepartureState {
  const deadline = Math.min(order.deadline ?? Infinity, state.deadline);
  const hardDeadline = state.hardDeadline ?? (order.deadline === undefined ? undefined : (true as const));
  const stricter = deadline < state.deadline ? { deadline, ...(hardDeadline && { hardDeadline }) } : {};
  // Once the node has asked for its end, Auto Scaling's target state is the echo of its own call.
  const ownDoing = state.ending === 'terminate' && irrevocableOf(state).askedToEndAt !== undefined;
  const same = order.cause === state.cause && order.ending === state.ending && order.key === state.key;
  if (same || ownDoing) return deadline < state.deadline ? { ...state, ...stricter } : state;
  const { undoAt: _undoAt, returns: _returns, key: _key, confirmedAt, confirmedBy, ...rest } = state;
  // An end by somebody else that is confirmed stays so when a second one comes on top.
  const isConfirmed = confirmedAt !== undefined && state.ending === 'await' && order.ending === 'await';
  return {
    ...rest,
    ...stricter,
    ...(isConfirmed && { confirmedAt, ...(confirmedBy !== undefined && { confirmedBy }) }),
    cause: order.cause,
    reason: order.reason,
    ending: order.ending,
    ...(order.key !== undefined && { key: order.key }),
    ...(order.undoAfterMs !== undefined && { undoAt: state.startedAt + order.undoAfterMs }),
    ...(order.returns && { returns: true as const }),
    troubles: withTrouble(state.troubles, `${order.cause} took over from ${state.cause} (${state.reason})`),
    // What is still to be done depends on how it ends: the phases are gone through again, done
    // deeds change nothing.
    phase: state.ending === order.ending ? state.phase : 'announce',
  };
}

/** Of a departure that goes wrong for days, the first troubles and the latest. */
const maxTroubles = 20;

/** The same list when the last trouble is still going on. */
export function withTrouble(troubles: string[], trouble: string): string[] {
  const text = trouble.slice(0, 300);
  if (troubles.at(-1) === text) return troubles;
  const others = troubles.filter((known) => known !== text);
  return others.length < maxTroubles
    ? [...others, text]
    : [...others.slice(0, 5), ...others.slice(5 - maxTroubles + 1), text];
}

/** Doing one thing after the other needs this much more time than doing everything at once. */
const unhurriedMs = 60_000;

/**
 * Little time is left by a deadline that does not move: everything is done at once, as far as it
 * goes.
 */
export function isUrgent(state: DepartureState, config: Config, leftMs: number): boolean {
  if (state.cause === 'spot') return true;
  return state.hardDeadline === true && leftMs < config.leave.deregistrationSeconds * 1000 + unhurriedMs;
}

/** Whether `ecs-node stay` calls off what this watcher, or this cause, wants. */
export function mayOverrule(cause: Watcher['name']): boolean {
  return cause !== 'termination-protection' && causes[cause].yieldsToStay;
}

/**
 * The deeds that ACTIVE does not undo. A file of 0.1.0 tells only the phases, each of which may
 * have begun its deed.
 */
export function irrevocableOf(state: DepartureState): Irrevocable {
  if (state.irrevocable !== undefined) return state.irrevocable;
  const { announce, balancers, registrar, terminate, hook } = state.entered;
  const ended = state.ending === 'terminate' ? terminate : hook;
  return {
    ...(announce !== undefined && { ranHooksAt: announce }),
    ...(balancers !== undefined && { leftBalancersAt: balancers }),
    ...(registrar !== undefined && { deregisteredAt: registrar }),
    ...(ended !== undefined && { askedToEndAt: ended }),
  };
}

/**
 * A person, or an event that is over, can call a departure off until the registrar was left or the
 * end was asked for.
 */
export function isRevocable(state: DepartureState): boolean {
  if (state.undoneAt !== undefined || state.cause === 'bootstrap-failed') return false;
  if (state.ending === 'remain' || state.returns === true) return true;
  const { deregisteredAt, askedToEndAt } = irrevocableOf(state);
  return deregisteredAt === undefined && askedToEndAt === undefined;
}
