/** Whether a person holds the node, so that a watcher neither treats nor drains it. */

import type { Host } from '../../core/host.ts';
import { openLasting, singleErrorMs } from '../../core/lasting.ts';
import { withTimeout } from '../../core/retry.ts';
import { findHolder, heldBy, isHeldBy } from '../held.ts';
import type { Memories } from './memories.ts';
import type { Watcher, Wish } from './watcher.ts';

/** Time for a few calls: reading the queue, or undoing a treatment. */
export const callsMs = 120_000;

/** Longer than a source is wrong for a moment. */
const endLastsMs = singleErrorMs;

/** The part of the agent's context that these functions need. */
export interface HoldContext {
  host: Host;
  memories: Memories;
  /** Whether the end of a hold lasts. Absent while this process has seen no hold. */
  holdIsOver?: ReturnType<typeof openLasting>;
}

/**
 * A person holds a node in Standby, in Detached, with the tag `ecs-node:keep` or with `ecs-node
 * leave --no-terminate`: it is not drained, restarted or terminated, and the journal says so.
 * Undefined: nobody holds it. Without `words`, the node was held a moment ago, and the watcher must
 * look again: one list of EC2 may lack the tag. Throws when no source could be asked, because not
 * knowing is no reason to leave.
 */
export async function findHold(
  context: HoldContext,
  watcher: Watcher,
  wish: Wish,
  signal: AbortSignal,
): Promise<{ words?: string } | undefined> {
  const { host, memories } = context;
  // A decision from outside the node ends a held node as well.
  if (watcher.evenIfHeld === true || wish.ending === 'await') return undefined;
  const isEnd = wish.ending === 'terminate';
  const holder = await withTimeout(callsMs, (callSignal) => findHolder(host, isEnd, callSignal), host.clock, signal);
  if (holder === undefined) return wasHeld(context) && !lastsSince(context, true) ? {} : undefined;
  const words = heldBy(holder);
  if (memories.recall(watcher.name).denied !== words)
    host.log.warn('left alone', { watcher: watcher.name, why: words, reason: wish.reason });
  return { words };
}

/** Whether a hold that was seen is not over yet: for a reason that no watcher found. */
export async function isHeldYet(context: HoldContext, signal: AbortSignal): Promise<boolean> {
  if (!wasHeld(context)) return false;
  const { host } = context;
  try {
    const holder = await withTimeout(callsMs, (callSignal) => findHolder(host, true, callSignal), host.clock, signal);
    return !lastsSince(context, holder === undefined);
  } catch {
    signal.throwIfAborted();
    return true;
  }
}

/** Begins the time anew where the denial is that a person holds the node. */
export function noteHold(context: HoldContext, denial: string): void {
  if (isHeldBy(denial)) lastsSince(context, false);
}

/** The memory of each watcher outlives the process. */
function wasHeld({ holdIsOver, memories }: HoldContext): boolean {
  return holdIsOver !== undefined || Object.values(memories.all()).some(({ denied }) => isHeldBy(denied));
}

/** Without a longest pause: watchers may look minutes apart. */
function lastsSince(context: HoldContext, isOver: boolean): boolean {
  context.holdIsOver ??= openLasting(context.host.clock, endLastsMs, Infinity);
  return context.holdIsOver(isOver);
}
