/**
 * What an earlier process or boot has left behind: goes on with its departure, or with what it had
 * decided.
 */

import type { DepartureState } from '../../core/state/state.ts';
import { mayOverrule } from '../departure/order.ts';
import { calledOff, ordered, allClear } from './judge.ts';
import { scheduleUndo, type AgentContext } from './carry-out.ts';
import type { Order } from './watcher.ts';

/** Goes on with the departure that an earlier process has begun. */
export async function resumePast(context: AgentContext, signal: AbortSignal): Promise<void> {
  const { past, watchers, memories, supervisor } = context;
  if (past?.eventGone) forgetEvent(context, past);
  if (past === undefined || past.undoneAt !== undefined) return resumeOrder(context, signal);
  if (past.cause === 'bootstrap-failed') return;
  // After a boot the machine may be back from where somebody else had sent it: the watcher looks
  // first.
  if (past.bootId !== context.bootId && (past.ending === 'await' || past.phase === 'done')) return;
  const order = orderOf(past, context.bootId);
  const watcher = watchers.find(({ name }) => name === order.cause);
  if (watcher === undefined) memories.add(order);
  else {
    const memory = memories.recall(watcher.name);
    // What was saved knows when it may be revoked.
    memories.remember(watcher.name, ordered(memory, memory.wish ?? order));
  }
  await supervisor.follow(memories.wanted() ?? order);
  if (watcher !== undefined) scheduleUndo(context, watcher, order.undoAfterMs, signal);
}

/** An agent that died after it had undone its departure may still take the event for handled. */
function forgetEvent(context: AgentContext, past: DepartureState): void {
  const { watchers, memories } = context;
  const watcher = watchers.find(({ name }) => name === past.cause);
  if (watcher === undefined) return;
  const memory = memories.recall(watcher.name);
  if (past.key !== undefined && memory.handled.includes(past.key))
    memories.remember(watcher.name, allClear({ ...memory, wish: orderOf(past, context.bootId) }));
}

/**
 * An agent that died between its decision and the first line of its departure has marked the event
 * as handled: no other part would act.
 */
async function resumeOrder(context: AgentContext, signal: AbortSignal): Promise<void> {
  const { past, watchers, memories, supervisor } = context;
  const wanted = memories.wanted();
  const watcher = watchers.find(({ name }) => name === wanted?.cause);
  if (wanted === undefined || watcher === undefined) return;
  if (past !== undefined && past.cause === wanted.cause && past.key === wanted.key) {
    // Undone after it had been decided.
    memories.remember(watcher.name, calledOff(memories.recall(watcher.name)));
    return;
  }
  await supervisor.follow(wanted);
  scheduleUndo(context, watcher, wanted.undoAfterMs, signal);
}

/**
 * A machine that was stopped for a spot interruption may still list the notice for minutes after it
 * came back.
 */
const returnedAfterMs = 180_000;

/**
 * As the watchers have it for an event that was taken back; the second source is asked before
 * anything is undone.
 */
const takenBackMs = 20_000;

/** The order that a departure on disk was given. */
function orderOf(state: DepartureState, bootId: string): Order {
  const { cause, reason, ending, key, hardDeadline, deadline, undoAt, returns, startedAt, uptimes } = state;
  return {
    cause,
    reason,
    ending,
    ...(key !== undefined && { key }),
    ...(hardDeadline === true && { deadline }),
    // Only in the boot in which it was noted; the departure itself compares the boots.
    ...(hardDeadline === true &&
      uptimes !== undefined &&
      bootId === state.bootId && { deadlineUptime: uptimes.deadline }),
    ...(undoAt !== undefined && { undoAfterMs: Math.max(0, undoAt - startedAt) }),
    ...(returns && { returns }),
    // An event that is not listed any more when the node comes up again was cancelled.
    ...(key !== undefined && mayOverrule(cause) && { revocableAfterMs: 0 }),
    // Killed before it had noted how: a machine that was to come back has come back when the event
    // is gone for long.
    ...(key !== undefined && !mayOverrule(cause) && { revocableAfterMs: returns ? returnedAfterMs : takenBackMs }),
  };
}
