/**
 * Resumes the state that an earlier process or boot left behind: its departure, or its decision.
 */

import { messageOf } from '../../core/errors.ts';
import type { DepartureState } from '../../core/state/state.ts';
import { retryUntilDone } from '../calls.ts';
import { awaitDeparture } from '../departure/departure.ts';
import { isRevocable, mayOverrule } from '../departure/order.ts';
import { calledOff, isCalledOff, ordered, allClear } from './judge.ts';
import {
  followAgain,
  isBack,
  isLeaving,
  isOverFor,
  isStillConfirmed,
  scheduleUndo,
  undoAgainMs,
  undoOptionsOf,
  undoWithRetry,
  type AgentContext,
} from './carry-out.ts';
import { orderOf } from './past-order.ts';
import type { Watcher } from './watcher.ts';

/** Continues the departure that an earlier process began, and the timers of all its decisions. */
export async function resumePast(context: AgentContext, signal: AbortSignal): Promise<void> {
  const { watchers, memories } = context;
  await followPast(context, signal);
  if (context.pastUnreadAt !== undefined) followOnceRead(context, signal);
  // A milder decision than the departure under way takes over when that one is called off.
  for (const watcher of watchers)
    scheduleUndo(context, watcher, memories.recall(watcher.name).wish?.undoAfterMs, signal);
}

/**
 * Follows the past departure as soon as the disk answers, unless a departure of this process has
 * begun before. Until then, the node is watched without it.
 */
function followOnceRead(context: AgentContext, signal: AbortSignal): void {
  const { host, watchers, memories, supervisor } = context;
  const begins = supervisor.idle();
  if (begins === undefined) return;
  const follow = async () => {
    const past = await awaitDeparture(host, AbortSignal.any([signal, begins]));
    delete context.pastUnreadAt;
    if (past === undefined || begins.aborted || isLeaving(context)) return;
    context.past = past;
    const watcher = watchers.find(({ name }) => name === past.cause);
    // Its watcher may have found the node well already, and must say so once more.
    if (watcher !== undefined) memories.remember(watcher.name, { ...memories.recall(watcher.name), settled: false });
    await followPast(context, signal);
  };
  follow().catch((error: unknown) => {
    if (!signal.aborted && !begins.aborted) host.log.error('past departure not followed', { error: messageOf(error) });
  });
}

async function followPast(context: AgentContext, signal: AbortSignal): Promise<void> {
  const { past, watchers, memories, supervisor } = context;
  if (past?.eventGone) forgetEvent(context, past);
  if (past === undefined || past.undoneAt !== undefined) return resumeOrder(context);
  if (past.cause === 'bootstrap-failed') return;
  const watcher = watchers.find(({ name }) => name === past.cause);
  const isNewBoot = past.bootId !== context.bootId;
  // A life cycle that is read late ends the watchers of spot instances. Nothing else undoes this.
  if (watcher === undefined && past.cause !== 'join-failed' && (past.confirmedAt === undefined || isNewBoot))
    return finishUndoing(context, past, signal);
  if (mayBeBack(context, past)) {
    if (watcher === undefined && isBack(past, context.bootId)) finishUndoing(context, past, signal);
    if (watcher !== undefined && past.cause === 'scale-in') followIfConfirmed(context, watcher, past, signal);
    return;
  }
  if (joinsAnew(context, past)) return finishUndoing(context, past, signal);
  if (watcher !== undefined && wasCalledOff(context, watcher, past)) return finishUndoing(context, past, signal);
  if (wasTakenBack(past) || isOldWord(context, past)) {
    forgetEvent(context, past);
    return finishUndoing(context, past, signal);
  }
  const order = orderOf(past, context.bootId);
  if (watcher === undefined) memories.add(order);
  else {
    const memory = memories.recall(watcher.name);
    // The saved wish contains when it may be revoked.
    memories.remember(watcher.name, ordered(memory, memory.wish ?? order));
  }
  await supervisor.follow(memories.wanted());
}

/**
 * After a boot, the machine may be back from a stop that AWS ordered, so the watcher looks first.
 * An unconfirmed termination is not over with a boot: while the metadata service is silent, only
 * its second source can deny or confirm it.
 */
function mayBeBack({ bootId }: AgentContext, past: DepartureState): boolean {
  const { ending, phase, confirmedAt, returns } = past;
  if (past.bootId === bootId || ending === 'remain') return false;
  return phase === 'done' || (ending === 'await' && (confirmedAt !== undefined || returns === true));
}

/**
 * A node that could not join has its whole time again after a boot. Its ECS agent has only just
 * started, so ECS would confirm within a second that the node is not connected.
 */
function joinsAnew({ bootId }: AgentContext, past: DepartureState): boolean {
  return past.cause === 'join-failed' && past.bootId !== bootId && isRevocable(past);
}

/**
 * One source announced it and took it back, or the second source denied it. The earlier process
 * ended before the node was ACTIVE.
 */
function wasTakenBack({ ending, confirmedAt, undoBegunAt }: DepartureState): boolean {
  return ending === 'await' && confirmedAt === undefined && undoBegunAt !== undefined;
}

/**
 * One source gave this word to an earlier boot, and it has drained nothing, or the machine has
 * booted after the end that it named. A machine of a warm pool boots days after a word that it
 * could not answer. If it is still announced, it begins anew.
 */
function isOldWord({ host, bootId }: AgentContext, past: DepartureState): boolean {
  if (past.bootId === bootId || past.ending !== 'await' || past.confirmedAt !== undefined) return false;
  const hasOutlivedItsEnd = past.hardDeadline === true && host.clock.now() > past.deadline;
  return past.drainedAt === undefined || hasOutlivedItsEnd;
}

/** A person or a timer called it off, and the earlier process ended before it was undone. */
function wasCalledOff({ memories }: AgentContext, { name }: Watcher, past: DepartureState): boolean {
  return mayOverrule(name) && isRevocable(past) && isCalledOff(memories.recall(name), past.key);
}

/**
 * The event counts again when it is listed. An agent that died after it undid its departure may
 * have left it marked as handled.
 */
function forgetEvent(context: AgentContext, past: DepartureState): void {
  const { watchers, memories } = context;
  const watcher = watchers.find(({ name }) => name === past.cause);
  if (watcher === undefined) return;
  const memory = memories.recall(watcher.name);
  if (past.key !== undefined && (memory.handled.includes(past.key) || memory.wish?.key === past.key))
    memories.remember(watcher.name, allClear({ ...memory, wish: orderOf(past, context.bootId) }));
}

/**
 * An agent that died between its decision and the departure's first write has marked the event as
 * handled. No other code would act on it.
 */
async function resumeOrder(context: AgentContext): Promise<void> {
  const { past, watchers, memories, supervisor } = context;
  for (const { name } of watchers) {
    const memory = memories.recall(name);
    // The departure was undone after the decision.
    if (past !== undefined && memory.wish !== undefined && past.cause === name && past.key === memory.wish.key)
      memories.remember(name, calledOff(memory));
  }
  const wanted = memories.wanted();
  if (wanted.length > 0) await supervisor.follow(wanted);
}

/**
 * Asks the group about a confirmed scale-in of an earlier boot. Its watcher looks only when the
 * metadata service answers, and the terminate hook would time out until then.
 */
function followIfConfirmed(context: AgentContext, watcher: Watcher, past: DepartureState, signal: AbortSignal): void {
  const { host, supervisor } = context;
  const follow = async () => {
    const isOpen = () => context.past === past && supervisor.state() === undefined && !isLeaving(context);
    if (isOpen() && (await isStillConfirmed(context, past, signal)) && isOpen())
      await followAgain(context, watcher, past);
  };
  retryUntilDone(host, 'scale-in not followed yet', { pauseMs: undoAgainMs }, signal, follow).catch(
    (error: unknown) => {
      if (!signal.aborted) host.log.error('scale-in not followed', { error: messageOf(error) });
    },
  );
}

/**
 * Undoes the departure of an earlier process that called it off and ended before it was undone, of
 * a machine that came back, or of a cause without a watcher. Another order that stands takes over
 * instead.
 */
function finishUndoing(context: AgentContext, past: DepartureState, signal: AbortSignal): void {
  const { host, watchers, memories, supervisor, bootId } = context;
  const { cause } = past;
  const except = watchers.find(({ name }) => name === cause)?.name ?? 'operator';
  const why = `${cause}: ${isBack(past, bootId) ? 'the machine came back' : 'over before the agent started'}`;
  const undo = async () => {
    const next = memories.wanted();
    if (next.length > 0) return supervisor.follow(next);
    await supervisor.callOff({ ...undoOptionsOf(context, why, except, false), ...isOverFor(context, past) });
    context.past = undefined;
  };
  undoWithRetry(host, { cause }, signal, undo).catch((error: unknown) => {
    if (!signal.aborted) host.log.error('not undone', { cause, error: messageOf(error) });
  });
}
