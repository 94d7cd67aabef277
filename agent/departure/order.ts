/**
 * Decides which of several orders to leave counts, and how a new one changes a departure under way.
 * Pure.
 */

import type { Config } from '../../config/config.ts';
import {
  causes,
  isCause,
  phases,
  type DepartureState,
  type DepartureUptimes,
  type Irrevocable,
  type Phase,
} from '../../core/state/state.ts';
import type { Order, Watcher } from '../watching/watcher.ts';

/** A decision from outside outranks the node's own, and termination outranks remaining. */
const strength = { remain: 0, terminate: 1, await: 2 };

/**
 * The time for the last phases (registrar, report of the departure, hook), in addition to draining.
 */
const lastPhasesMs = 600_000;

/**
 * EC2 gives a spot instance two minutes, even if a wrong wall clock makes the notice look
 * different.
 */
export const spotNoticeMs = 120_000;

/** The second source's agreement with an order. */
export interface Confirmation {
  /** Milliseconds since 1970. */
  at: number;
  words: string;
}

/** An order, with the answers of its own second source. */
export interface StandingOrder extends Order {
  confirmation?: Confirmation;
  /** The departure for this order is done, and the node is still here. */
  isDone?: boolean;
}

/**
 * The order that applies. An unconfirmed order, or one whose departure is done, never hides,
 * hurries or replaces a confirmed one. The other orders wait until their own second sources agree.
 */
export function chooseOrder(orders: readonly StandingOrder[]): StandingOrder | undefined {
  const confirmed = orders.filter(({ confirmation, isDone }) => confirmation !== undefined && isDone !== true);
  if (confirmed.length > 0) return strictest(confirmed);
  const done = orders.find(({ isDone }) => isDone === true);
  return done ?? orders.toSorted(byStrictness)[0];
}

/** The strictest of confirmed orders, with the earliest deadline of all of them. */
export function strictest(orders: readonly StandingOrder[]): StandingOrder | undefined {
  const [first, ...others] = orders.toSorted(byStrictness);
  if (first === undefined) return undefined;
  // A machine that another order terminates does not come back.
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

function byStrictness(a: Order, b: Order): number {
  return strength[b.ending] - strength[a.ending] || (a.deadline ?? Infinity) - (b.deadline ?? Infinity);
}

/**
 * Whether the second source that confirmed this departure confirmed the order as well. EC2 and Auto
 * Scaling name no time, so a moved event stays confirmed. A confirmed return to the warm pool
 * confirms no termination.
 */
export function isConfirmedBy(state: DepartureState, order: Order): boolean {
  if (state.confirmedAt === undefined || state.cause !== order.cause || state.ending !== order.ending) return false;
  if (order.ending === 'await') return isNoMore(state, order);
  return state.key === order.key;
}

/** Whether the order asks for no more than the departure: a return is less than a termination. */
function isNoMore(state: DepartureState, order: Order): boolean {
  return state.returns !== true || order.returns === true;
}

/** Whether the departure is the one that this order asks for, whatever its deadline. */
export function isFor({ cause, ending, key, returns }: DepartureState | Order, order: Order): boolean {
  return cause === order.cause && ending === order.ending && key === order.key && returns === order.returns;
}

/** The time for a departure without a deadline from outside. */
export function plannedMs({ leave }: Config): number {
  const balancersMs =
    leave.targetGroups.length + leave.loadBalancers.length > 0 ? leave.deregistrationSeconds * 1000 : 0;
  return balancersMs + (leave.drainSeconds + leave.steadyClusterSeconds) * 1000 + lastPhasesMs;
}

export function beginState(
  order: StandingOrder,
  config: Config,
  instanceId: string,
  bootId: string,
  now: number,
): DepartureState {
  const { cause, reason, key, ending, deadline = Infinity, undoAfterMs, returns, confirmation, spotDeniedAt } = order;
  const plannedEnd = now + plannedMs(config);
  return {
    instanceId,
    bootId,
    cause,
    reason,
    startedAt: now,
    deadline: Math.min(deadline, plannedEnd),
    ending,
    phase: 'announce',
    entered: {},
    blockers: [],
    troubles: [],
    irrevocable: {},
    ...(key !== undefined && { key }),
    // A date weeks ahead takes no time from the tasks: the node's own limit comes first.
    ...(deadline <= plannedEnd && { hardDeadline: true as const }),
    ...(undoAfterMs !== undefined && { undoAt: now + undoAfterMs }),
    ...(returns && { returns }),
    ...(confirmation !== undefined && { confirmedAt: confirmation.at, confirmedBy: confirmation.words }),
    ...(spotDeniedAt !== undefined && { spotDeniedAt }),
  };
}

/** The wall clock and the uptime, in milliseconds. */
export interface Now {
  now: number;
  uptime: number;
}

/**
 * The state in a new boot. Its own deadline begins anew: the time for which the machine was off,
 * and a clock that runs ahead, are no time in which its tasks could end.
 */
export function inNewBoot(state: DepartureState, bootId: string, config: Config, now: number): DepartureState {
  return { ...state, bootId, ...(state.hardDeadline !== true && { deadline: now + plannedMs(config) }) };
}

/**
 * The state with its times by uptime. `kept` has those of an earlier process, which are valid in
 * the same boot. After a reboot, and in a file of 0.1.0, only the wall clock is left.
 */
export function withUptimes(
  state: DepartureState,
  order: Order,
  kept: Partial<DepartureUptimes>,
  at: Now,
): DepartureState {
  const started = kept.started ?? at.uptime - Math.max(0, at.now - state.startedAt);
  const byWall = (deadline: number) => at.uptime + Math.max(0, deadline - at.now);
  const most = state.cause === 'spot' ? at.uptime + spotNoticeMs : Infinity;
  const deadline = Math.min(
    kept.deadline ?? byWall(state.deadline),
    order.deadlineUptime ?? (order.deadline === undefined ? Infinity : byWall(order.deadline)),
    most,
  );
  return { ...state, uptimes: { ...kept, started, cause: kept.cause ?? order.askedSince ?? at.uptime, deadline } };
}

/**
 * The time of the draining that still stands. After an undoing that was broken off, the node may be
 * ACTIVE: draining it again changes nothing else.
 */
export function drainingOf({ drainedAt, undoBegunAt }: Partial<DepartureState>): Pick<DepartureState, 'drainedAt'> {
  return drainedAt === undefined || undoBegunAt !== undefined ? {} : { drainedAt };
}

export function hasReached(state: DepartureState, phase: Phase): boolean {
  return phases.indexOf(state.phase) >= phases.indexOf(phase);
}

/** Whether the departure only drains: one source is enough for that, because ACTIVE undoes it. */
export function onlyDrains({ ending, cause }: Pick<DepartureState, 'ending' | 'cause'>): boolean {
  return ending === 'remain' && cause !== 'operator';
}

/** Whether the departure is done or was undone, so that the next order begins a new one. */
export function isOver(state: DepartureState): boolean {
  return state.undoneAt !== undefined || state.phase === 'done';
}

/**
 * Whether the departure for this order is done. Once the instance is back, the same order is a new
 * one: it brings another terminate hook, which would time out.
 */
export function isDoneFor(state: DepartureState, { cause, key, ending }: Order): boolean {
  if (state.phase !== 'done' || state.undoneAt !== undefined || state.backAt !== undefined) return false;
  return cause === state.cause && key === state.key && ending === state.ending;
}

/**
 * The departure with the order merged into it; the same object when nothing changes. A deadline
 * counts only for the order that brings it.
 */
export function merge(state: DepartureState, order: StandingOrder, config: Config, now: number): DepartureState {
  // After the node has requested its termination, Auto Scaling's target state only repeats that
  // request.
  const ownDoing = state.ending === 'terminate' && irrevocableOf(state).askedToEndAt !== undefined;
  const { deadline = Infinity, confirmation, spotDeniedAt } = order;
  const plannedEnd = now + plannedMs(config);
  if (isFor(state, order) || ownDoing) {
    if (deadline < state.deadline) return { ...state, deadline, hardDeadline: true };
    // The order whose deadline it was does not stand any more.
    if (ownDoing || state.hardDeadline === undefined || order.deadline !== undefined) return state;
    const { hardDeadline: _hard, ...soft } = state;
    return { ...soft, deadline: plannedEnd };
  }
  const { undoAt: _undo, returns: _returns, key: _key, confirmedAt: _at, confirmedBy: _by, ...others } = state;
  const { hardDeadline: _hard, ...rest } = others;
  return {
    ...rest,
    deadline: Math.min(deadline, plannedEnd),
    ...(deadline <= plannedEnd && { hardDeadline: true as const }),
    ...(confirmation !== undefined && { confirmedAt: confirmation.at, confirmedBy: confirmation.words }),
    ...(spotDeniedAt !== undefined && { spotDeniedAt }),
    cause: order.cause,
    reason: order.reason,
    ending: order.ending,
    ...(order.key !== undefined && { key: order.key }),
    ...(order.undoAfterMs !== undefined && { undoAt: state.startedAt + order.undoAfterMs }),
    ...(order.returns && { returns: true as const }),
    troubles: withTrouble(state.troubles, `${order.cause} took over from ${state.cause} (${state.reason})`),
    // The ending and the return decide the phases, so a new one starts them again. Repeating a
    // finished action changes nothing.
    phase: state.ending === order.ending && isNoMore(state, order) ? state.phase : 'announce',
  };
}

/**
 * The state as another process left it. The node's own reason may be gone since, so the second
 * source is asked again before the next phase, unless the end was requested in this boot.
 */
export function withoutOldConfirmation(state: DepartureState | undefined, bootId: string): DepartureState | undefined {
  if (state?.ending !== 'terminate') return state;
  if (state.bootId === bootId && irrevocableOf(state).askedToEndAt !== undefined) return state;
  const { confirmedAt: _at, confirmedBy: _by, ...rest } = state;
  return rest;
}

/** The list keeps the first five and the latest failures of a departure that fails for days. */
const maxTroubles = 20;

/** Returns the same list when the last failure repeats. */
export function withTrouble(troubles: string[], trouble: string): string[] {
  const text = trouble.slice(0, 300);
  if (troubles.at(-1) === text) return troubles;
  const others = troubles.filter((known) => known !== text);
  return others.length < maxTroubles
    ? [...others, text]
    : [...others.slice(0, 5), ...others.slice(5 - maxTroubles + 1), text];
}

export function hasBalancers({ config: { leave } }: { config: Config }): boolean {
  return leave.targetGroups.length + leave.loadBalancers.length > 0;
}

/** Running the phases one after the other needs this much more time than running them together. */
const unhurriedMs = 60_000;

/** Whether a fixed deadline leaves so little time that the phases must overlap. */
export function isUrgent(state: DepartureState, config: Config, leftMs: number): boolean {
  if (state.cause === 'spot') return true;
  return state.hardDeadline === true && leftMs < config.leave.deregistrationSeconds * 1000 + unhurriedMs;
}

/** Whether `ecs-node stay` calls off a departure that this watcher caused. */
export function mayOverrule(name: Watcher['name']): boolean {
  return isCause(name) && causes[name].yieldsToStay;
}

/** Far more events than EC2 schedules for one instance. */
const maxOverruled = 32;

/** The keys of events that are listed, and that a person or a timer called off, newest last. */
export function overruledBy(state: DepartureState | undefined): readonly string[] {
  const { cause, key, undoneAt, eventGone, overruled = [] } = state ?? {};
  const isOverruled = cause !== undefined && mayOverrule(cause) && undoneAt !== undefined && eventGone !== true;
  return key === undefined || !isOverruled ? overruled : addKeys(overruled, [key]);
}

/** The state with the keys of further events that were called off. */
export function withOverruled(state: DepartureState, keys: readonly string[]): DepartureState {
  if (keys.length === 0) return state;
  return { ...state, overruled: addKeys(state.overruled ?? [], keys) };
}

function addKeys(known: readonly string[], keys: readonly string[]): readonly string[] {
  return [...known.filter((key) => !keys.includes(key)), ...keys].slice(-maxOverruled);
}

/**
 * The actions taken that ACTIVE does not undo. A file of 0.1.0 has only the phases, and each phase
 * may have begun its action.
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
 * Whether a person, or the end of an event, can still call the departure off. That is possible
 * until the node left its registrar or requested its termination.
 */
export function isRevocable(state: DepartureState): boolean {
  if (state.undoneAt !== undefined || state.cause === 'bootstrap-failed') return false;
  if (state.ending === 'remain' || state.returns === true) return true;
  const { deregisteredAt, askedToEndAt } = irrevocableOf(state);
  return deregisteredAt === undefined && askedToEndAt === undefined;
}
