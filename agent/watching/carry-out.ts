/** Carries out the judge's decisions: treats, recovers, leaves, stays. */

import type { Config } from '../../config/config.ts';
import { Unavailable, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { withTimeout, type Clock } from '../../core/retry.ts';
import { isCause, type Cause, type DepartureState } from '../../core/state/state.ts';
import { askAgain, stillAgrees } from '../departure/confirm.ts';
import { isRevocable, mayOverrule, overruledBy } from '../departure/order.ts';
import type { UndoOptions } from '../departure/undo.ts';
import { retryUntilDone } from '../calls.ts';
import { readRequest } from '../request.ts';
import {
  acknowledged,
  allClear,
  calledOff,
  denied,
  ordered,
  over,
  passedOver,
  recovered,
  treated,
  type Verdict,
} from './judge.ts';
import { callsMs, findHold, noteHold, type HoldContext } from './left-alone.ts';
import { mayBeOverruled, orderOf } from './past-order.ts';
import type { Supervisor } from '../departure/supervisor.ts';
import type { RunningActions } from './running-actions.ts';
import type { Order, Watcher, Wish } from './watcher.ts';

/** Removing the images of a full disk takes minutes. */
const treatMs = 600_000;

/** The pause between tries to set a node ACTIVE while ECS does not allow it. */
export const undoAgainMs = 20_000;

export interface AgentContext extends HoldContext {
  config: Config;
  watchers: readonly Watcher[];
  supervisor: Supervisor;
  runningActions: RunningActions;
  /** The departure that an earlier process or boot left on disk, until it is dealt with. */
  past: DepartureState | undefined;
  /** The disk did not answer at this uptime, the agent's start, so `past` is unknown. */
  pastUnreadAt?: number;
  bootId: string;
  /** Called when the node returns after a departure that it was expected to return from. */
  onReturn(): void;
}

/** Throws on failure. The judge repeats the decision after the next check. */
export async function carryOut(
  context: AgentContext,
  watcher: Watcher,
  verdict: Verdict,
  signal: AbortSignal,
): Promise<void> {
  switch (verdict.kind) {
    case 'stay':
      return;
    case 'tell':
      context.host.log.warn('noticed', { watcher: watcher.name, reason: verdict.reason });
      return;
    case 'treat':
      return context.runningActions.run(
        watcher.name,
        (callSignal) => treat(context, watcher, verdict.attempt, verdict.reason, callSignal),
        signal,
      );
    case 'leave':
      return context.runningActions.run(
        watcher.name,
        (callSignal) => orderToLeave(context, watcher, verdict.wish, callSignal, signal),
        signal,
      );
    case 'recover':
      return recover(context, watcher, signal);
    case 'undo':
      return undoAll(context, watcher, verdict, signal);
  }
}

async function treat(
  context: AgentContext,
  watcher: Watcher,
  attempt: number,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  const { host, memories } = context;
  const { name } = watcher;
  if (await isLeftAlone(context, watcher, { reason, ending: 'remain' }, signal)) return;
  host.log.warn('treating', { watcher: name, reason, attempt });
  const work = async (callSignal: AbortSignal) => watcher.treat?.(host, attempt, callSignal) ?? 'done';
  const outcome = await withTimeout(treatMs, work, host.clock, signal);
  if (outcome === 'done') memories.remember(name, treated(memories.recall(name), host.clock.uptime()));
  else host.log.info('waits for its turn', { watcher: name, reason });
}

/** `signal` aborts when a person calls the departure off; `lasting` when the agent ends. */
async function orderToLeave(
  context: AgentContext,
  watcher: Watcher,
  found: Wish,
  signal: AbortSignal,
  lasting: AbortSignal,
): Promise<void> {
  const { host, config, memories, supervisor, past } = context;
  const { name } = watcher;
  if (!isCause(name)) throw new TypeError(`${name} is no cause of a departure`);
  if (found.key !== undefined && overruledBy(past).includes(found.key)) {
    // Called off before a restart. The event is still listed, and the decision remains.
    memories.remember(name, calledOff(ordered(memories.recall(name), found)));
    return;
  }
  if (found.key !== undefined && mayBeOverruled(context, name))
    throw new Unavailable('the disk does not say yet whether a person called this event off');
  if (await isLeftAlone(context, watcher, found, signal)) return;
  const mayLeave = async (callSignal: AbortSignal) => watcher.mayLeave?.(host, callSignal, found) ?? 'go';
  const answer = await withTimeout(callsMs, mayLeave, host.clock, signal);
  if (answer === 'wait') {
    host.log.info('waits for its turn to leave', { watcher: name, reason: found.reason });
    if (found.key !== undefined) memories.remember(name, passedOver(memories.recall(name), found.key));
    return;
  }
  const wish = answer === 'go' ? found : answer;
  if (memories.recall(name).denied !== undefined) {
    // Draining moves tasks away, so a departure that was denied waits for the second source first.
    const { agrees, words } = await askAgain(host, config, { ...wish, cause: name }, signal);
    if (agrees !== true) return stepBack(context, watcher, words, signal, found.key);
  }
  memories.remember(name, ordered(memories.recall(name), wish));
  await supervisor.follow(memories.wanted());
  scheduleUndo(context, watcher, wish.undoAfterMs, lasting);
}

/** The trouble or event of this watcher is over. */
async function recover(context: AgentContext, watcher: Watcher, signal: AbortSignal): Promise<void> {
  const { memories, supervisor, past } = context;
  const { name } = watcher;
  const before = memories.recall(name);
  let isUndone: boolean;
  if (before.wish !== undefined) {
    if (isCause(name)) await mustBeDenied(context, { ...before.wish, cause: name }, signal);
    memories.remember(name, over(before));
    try {
      const stays = await reconsider(context, `${name}: ${before.wish.reason}: over`, name, true);
      isUndone = stays && (await undoTreatment(context, watcher, signal));
    } catch (error) {
      // The departure has stopped. If the same event is listed again, it must begin again.
      memories.remember(name, { ...before, handled: before.handled.filter((key) => key !== before.wish?.key) });
      throw error;
    }
  } else {
    const mine = past !== undefined && past.cause === name && past.undoneAt === undefined;
    // A departure that just began for another reason may not have written its state yet. One that
    // begins meanwhile waits its turn.
    const mayCallOff = () => supervisor.state() === undefined && !isLeaving(context);
    if (mine && mayCallOff() && (await isStillConfirmed(context, past, signal)))
      return followAgain(context, watcher, past);
    if (mine && mayCallOff()) {
      await supervisor.callOff({ ...undoOptionsOf(context, `${name}: over`, name, true), ...isOverFor(context, past) });
      context.past = undefined;
    }
    isUndone = await undoTreatment(context, watcher, signal);
  }
  const memory = memories.recall(name);
  if (isUndone) memories.remember(name, recovered(memory));
  // The judge repeats `recover` at each check while it waits; the trouble itself ends only once.
  else if (memory.begun) memories.remember(name, allClear(memory));
}

/**
 * An order that the second source confirmed is not called off just because the first source no
 * longer reports it. A metadata service that flips back while the group continues would bring tasks
 * onto a node that ends. Throws while the second source still confirms it.
 */
async function mustBeDenied({ host, config, memories, supervisor }: AgentContext, order: Order, signal: AbortSignal) {
  // EC2 confirmed the event before the node began to leave for it.
  const isMaintenance = order.cause === 'maintenance' && config.maintenance.action === 'leave';
  if (!isMaintenance && (order.ending !== 'await' || !supervisor.isConfirmed(order))) return;
  const isAlone = memories.wanted().every(({ cause }) => cause === order.cause);
  const ask = (callSignal: AbortSignal) => stillAgrees(host, config, order, isAlone, callSignal);
  if (await withTimeout(callsMs, ask, host.clock, signal))
    throw new Unavailable(`no longer announced, but still confirmed: ${order.reason}`);
}

/**
 * Whether the second source still confirms the departure of an earlier boot. In the first seconds
 * of a boot, the metadata service may not report the order of a group that still waits. A return to
 * the warm pool that is done is over with the next boot.
 */
export async function isStillConfirmed(
  { host, config, bootId }: AgentContext,
  past: DepartureState,
  signal: AbortSignal,
) {
  const isFinished = past.phase === 'done' && past.returns === true;
  if (past.ending !== 'await' || past.confirmedAt === undefined || isFinished) return false;
  const ask = (callSignal: AbortSignal) => stillAgrees(host, config, orderOf(past, bootId), true, callSignal);
  return withTimeout(callsMs, ask, host.clock, signal);
}

/** Without its departure, nothing would keep the terminate hook alive or move the tasks. */
export async function followAgain(context: AgentContext, { name }: Watcher, past: DepartureState): Promise<void> {
  const { memories, supervisor, bootId } = context;
  const order = orderOf(past, bootId);
  // EC2 may name the end of a spot instance that it has just started again.
  if (past.cause === 'spot') throw new Unavailable(`no longer announced, but still confirmed: ${past.reason}`);
  memories.remember(name, ordered(memories.recall(name), order));
  await supervisor.follow(memories.wanted());
}

/**
 * The termination from outside never came, or the machine has booted after its end. The node is
 * well and stays, whatever it has already left.
 */
export function isOverFor(
  { bootId }: Pick<AgentContext, 'bootId'>,
  state: Pick<DepartureState, 'bootId' | 'ending' | 'phase'>,
): Pick<UndoOptions, 'isDenied'> {
  return state.ending === 'await' || isBack(state, bootId) ? { isDenied: true } : {};
}

/** A machine that was powered off for its departure, and started again. */
export function isBack({ bootId, phase }: Pick<DepartureState, 'bootId' | 'phase'>, bootIdNow: string): boolean {
  return phase === 'done' && bootId !== bootIdNow;
}

/** Withdraws each order whose cause the second source denies. */
export function listenForDenials(context: AgentContext, signal: AbortSignal): void {
  context.supervisor.onTakenBack = (cause, why, key) => {
    context.host.log.warn('taken back', { cause, why });
    takeBack(context, { cause, why, key }, signal).catch((error: unknown) => {
      if (!signal.aborted) context.host.log.error('not taken back', { error: messageOf(error) });
    });
  };
}

/**
 * Undoes a departure whose cause the second source denies, unless another order stands. Its watcher
 * asks for it again later, or after all was well in between.
 */
async function takeBack(
  context: AgentContext,
  { cause, why, key }: { cause: Cause; why: string; key: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { host, memories, supervisor, watchers } = context;
  const watcher = watchers.find(({ name }) => name === cause);
  if (watcher !== undefined) {
    const memory = memories.recall(watcher.name);
    // A decision of AWS drains the node at once when it is announced again.
    const isOfAws = memory.wish?.ending === 'await';
    memories.remember(watcher.name, isOfAws ? recovered(memory) : denied(memory, why, host.clock.uptime(), key));
  }
  noteHold(context, why);
  memories.clearAdded(cause);
  await undoWithRetry(host, { why }, signal, async () => {
    await mustHaveSeenRequest(context);
    const next = memories.wanted();
    const state = supervisor.state();
    // Another order has taken over the departure, and that one stands.
    const isOfOther = state?.cause !== cause && next.some((order) => order.cause === state?.cause);
    // No unconfirmed order takes over from a departure that has left its registrar. So that
    // departure is undone first, or the node would stay DRAINING for ever.
    if (next.length > 0 && (state === undefined || isRevocable(state) || isOfOther)) return supervisor.follow(next);
    const except = watcher?.name ?? 'operator';
    const options = undoOptionsOf(context, why, except, true);
    // These want the node DRAINING, whatever becomes of this departure.
    const isWanted = next.some(({ cause, ending }) => cause === 'operator' || ending === 'remain');
    const keepDraining = options.keepDraining || isWanted;
    await supervisor.callOff({ ...options, keepDraining, isDenied: true });
    if (watcher !== undefined) await undoTreatment(context, watcher, signal);
    if (next.length > 0) await supervisor.follow(next);
  });
}

/**
 * Throws until the watcher has seen the request of a person who drains the node to stay. On a busy
 * machine the departure sees it first, and the node would be ACTIVE in between.
 */
async function mustHaveSeenRequest({ host, memories }: AgentContext): Promise<void> {
  const request = await readRequest(host).catch(() => undefined);
  if (request?.action !== 'leave' || request.terminate) return;
  if (!memories.recall('operator').handled.includes(request.id))
    throw new Unavailable('a person drains the node to stay, which comes first');
}

/**
 * The node stays for now, although its trouble remains. With its entry in the leave queue, every
 * node behind it would wait as long. The watcher tries again later.
 */
async function stepBack(
  context: AgentContext,
  watcher: Watcher,
  why: string,
  signal: AbortSignal,
  key?: string,
): Promise<void> {
  const { host, memories } = context;
  noteHold(context, why);
  await undoTreatment(context, watcher, signal);
  memories.remember(watcher.name, denied(memories.recall(watcher.name), why, host.clock.uptime(), key));
}

async function isLeftAlone(context: AgentContext, watcher: Watcher, wish: Wish, signal: AbortSignal): Promise<boolean> {
  const hold = await findHold(context, watcher, wish, signal);
  if (hold?.words !== undefined) await stepBack(context, watcher, hold.words, signal, wish.key);
  return hold !== undefined;
}

export function undoWithRetry<T>(
  { clock, log }: Host,
  about: Record<string, string>,
  signal: AbortSignal,
  undo: () => Promise<T>,
): Promise<T> {
  return retryUntilDone({ clock, log: log.with(about) }, 'not undone yet', { pauseMs: undoAgainMs }, signal, undo);
}

export function undoOptionsOf(
  { memories }: AgentContext,
  why: string,
  except: Watcher['name'],
  eventGone: boolean,
): UndoOptions {
  const overruled = memories.overruled(eventGone ? except : undefined);
  return { why, keepDraining: memories.isTreatedByOther(except), eventGone, overruled };
}

/** Follows the remaining orders, or stays. False: too late to stay. */
async function reconsider(
  context: AgentContext,
  why: string,
  except: Watcher['name'],
  eventGone = false,
): Promise<boolean> {
  const { memories, supervisor, onReturn } = context;
  const next = memories.wanted();
  if (next.length > 0) {
    await supervisor.follow(next);
    return true;
  }
  const state = supervisor.state();
  if (state === undefined) return true;
  // Once, and before ECS is told: only a node that joins keeps its launch hook alive meanwhile.
  if (state.returns === true && supervisor.remaining() === undefined) onReturn();
  return supervisor.callOff({
    ...undoOptionsOf(context, why, except, eventGone),
    ...(eventGone && isOverFor(context, state)),
  });
}

/** False: the effects of the treatment have to stay until something else is over. */
async function undoTreatment(context: AgentContext, watcher: Watcher, signal: AbortSignal): Promise<boolean> {
  if (watcher.recover === undefined) return true;
  const work = async (callSignal: AbortSignal) => watcher.recover?.(context.host, callSignal);
  return context.supervisor.bringBack(async (undoSignal) => {
    if (isLeaving(context)) return false;
    try {
      await withTimeout(callsMs, work, context.host.clock, AbortSignal.any([signal, undoSignal]));
      return true;
    } catch (error) {
      signal.throwIfAborted();
      // A new order stopped it. A repeated `ecs-node stay` would call that newer order off.
      if (undoSignal.aborted) return false;
      throw error;
    }
  });
}

/**
 * Whether the node leaves for another reason, or was called off too late. It must then not become
 * ACTIVE and receive tasks that end with it.
 */
export function isLeaving({ memories, supervisor }: AgentContext): boolean {
  return memories.wanted().length > 0 || !supervisor.isAtRest();
}

/** A person wants the node to stay: calls off everything except decisions from outside the node. */
async function undoAll(
  context: AgentContext,
  operator: Watcher,
  { key, reason }: Verdict & { kind: 'undo' },
  signal: AbortSignal,
): Promise<void> {
  const { host, watchers, memories } = context;
  // While ECS does not answer, the request is repeated. It overrules no event that came after it.
  if (!memories.recall(operator.name).handled.includes(key)) {
    await overrule(context, signal);
    memories.remember(operator.name, acknowledged(memories.recall(operator.name), key));
  }
  for (const { cause, reason: kept } of memories.wanted()) host.log.warn('cannot stay', { cause, reason: kept });
  await reconsider(context, `stay: ${reason}`, operator.name);
  for (const watcher of watchers) if (watcher !== operator) await undoTreatment(context, watcher, signal);
  // The request is removed last, also when the node cannot stay: otherwise it would repeat every
  // two seconds.
  await operator.recover?.(host, signal);
}

/** Calls off all reasons that a person can overrule, and the actions under way for them. */
async function overrule({ watchers, memories, runningActions }: AgentContext, signal: AbortSignal): Promise<void> {
  const overruled = watchers.map(({ name }) => name).filter(mayOverrule);
  const callOff = () => overruled.forEach((name) => memories.remember(name, calledOff(memories.recall(name))));
  callOff();
  // A treatment under way would set DRAINING again, and nothing would undo that.
  await Promise.all(overruled.map((name) => runningActions.stop(name)));
  signal.throwIfAborted();
  callOff();
  memories.clearAdded();
}

/** Undoes a departure after `ms` when nothing else followed by then. */
export function scheduleUndo(
  context: AgentContext,
  watcher: Watcher,
  ms: number | undefined,
  signal: AbortSignal,
): void {
  if (ms === undefined) return;
  const { host, memories, supervisor } = context;
  const undo = async () => {
    await host.clock.sleep(msUntilUndo(supervisor.state(), ms, host.clock), signal);
    memories.remember(watcher.name, calledOff(memories.recall(watcher.name)));
    await undoWithRetry(host, { watcher: watcher.name }, signal, () =>
      reconsider(context, `${watcher.name}: nothing followed`, watcher.name),
    );
  };
  undo().catch((error: unknown) => {
    if (!signal.aborted) host.log.error('not undone', { watcher: watcher.name, error: messageOf(error) });
  });
}

/**
 * By uptime, and never longer than `ms`. A wall clock that ran ahead when the departure began is
 * set back later.
 */
function msUntilUndo(state: DepartureState | undefined, ms: number, { now, uptime }: Clock): number {
  if (state?.undoAt === undefined) return ms;
  const { undoAt, startedAt, uptimes } = state;
  const left = uptimes === undefined ? undoAt - now() : uptimes.started + undoAt - startedAt - uptime();
  return Math.min(ms, Math.max(0, left));
}
