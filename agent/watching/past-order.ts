/** The order behind a departure on disk. */

import type { Host } from '../../core/host.ts';
import { singleErrorMs } from '../../core/lasting.ts';
import type { DepartureState } from '../../core/state/state.ts';
import { mayOverrule } from '../departure/order.ts';
import type { Order, Watcher } from './watcher.ts';

/** After a stop for a spot interruption, the machine may still list the notice for minutes. */
const returnedAfterMs = 180_000;

/**
 * The same time that the watchers use for a withdrawn event. The second source is asked before
 * anything is undone.
 */
const takenBackMs = 20_000;

export function orderOf(state: DepartureState, bootId: string): Order {
  const { cause, reason, ending, key, hardDeadline, deadline, undoAt, returns, startedAt, uptimes } = state;
  return {
    cause,
    reason,
    ending,
    ...(key !== undefined && { key }),
    ...(hardDeadline === true && { deadline }),
    // Valid only in the boot that wrote it. The departure itself compares the boots.
    ...(hardDeadline === true &&
      uptimes !== undefined &&
      bootId === state.bootId && { deadlineUptime: uptimes.deadline }),
    ...(undoAt !== undefined && { undoAfterMs: Math.max(0, undoAt - startedAt) }),
    ...(returns && { returns }),
    // An event that is no longer listed when the node comes up again was cancelled.
    ...(key !== undefined && mayOverrule(cause) && { revocableAfterMs: 0 }),
    // The process was killed before it recorded this. A machine that was to return has returned
    // once the event is absent for long.
    ...(key !== undefined && !mayOverrule(cause) && { revocableAfterMs: returns ? returnedAfterMs : takenBackMs }),
  };
}

/** Longer than a disk is silent for a moment. A file that is never read holds no departure back. */
const unreadMs = singleErrorMs;

/** After a reboot, only the past departure has the events that `ecs-node stay` called off. */
export function mayBeOverruled(
  { host, pastUnreadAt = -Infinity }: { host: Host; pastUnreadAt?: number },
  name: Watcher['name'],
): boolean {
  return mayOverrule(name) && host.clock.uptime() - pastUnreadAt < unreadMs;
}
