/** Whether a person holds the node, so that a watcher neither treats nor drains it. */

import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';
import { findHolder } from '../held.ts';
import type { Watcher, Wish } from './watcher.ts';

/** Time for a few calls: reading the queue, or undoing a treatment. */
export const callsMs = 120_000;

/**
 * A person holds a node in Standby, in Detached, with the tag `ecs-node:keep` or with `ecs-node
 * leave --no-terminate`: it is not drained, restarted or terminated, and the journal says so.
 * Throws when no source could be asked, because not knowing is no reason to leave.
 */
export async function isLeftAlone(host: Host, watcher: Watcher, wish: Wish, signal: AbortSignal): Promise<boolean> {
  // A decision from outside the node ends a held node as well.
  if (watcher.evenIfHeld === true || wish.ending === 'await') return false;
  const isEnd = wish.ending === 'terminate';
  const holder = await withTimeout(callsMs, (callSignal) => findHolder(host, isEnd, callSignal), host.clock, signal);
  if (holder === undefined) return false;
  host.log.warn(`left alone: ${heldWords}`, { watcher: watcher.name, holder, reason: wish.reason });
  return true;
}

export const heldWords = 'a person holds this node';
