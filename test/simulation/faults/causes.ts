/**
 * The true reasons why a node may leave, whatever the node believes. The code that creates a reason
 * records it; the invariants read it.
 */

import type { Node } from '../world/node.ts';

export type Reason =
  | 'planted'
  | 'spot'
  | 'scale-in'
  | 'rebalance'
  | 'maintenance'
  | 'retirement'
  | 'operator'
  | 'drain-only'
  | 'disk'
  | 'ecs-agent'
  | 'docker'
  | 'never joins'
  | 'hook timed out'
  /** One source reports it and the other does not: the node may drain, and do nothing else. */
  | 'lie';

export interface Cause {
  since: number;
  /** Undefined while the reason still holds. */
  until: number | undefined;
  /** When the reason had ended before it began again. */
  endedBefore?: number;
}

/**
 * An interruption of at most `unseenMs` does not count, because a node that polls at intervals
 * cannot have seen it.
 */
export function begin(node: Node, reason: Reason, now: number, unseenMs = 0): void {
  const before = node.truth.causes.get(reason);
  if (before !== undefined && before.until === undefined) return;
  const goesOn = before?.until !== undefined && now - before.until <= unseenMs;
  const endedBefore = goesOn ? before.endedBefore : before?.until;
  node.truth.causes.set(reason, {
    since: goesOn ? before.since : now,
    until: undefined,
    ...(endedBefore !== undefined && { endedBefore }),
  });
}

export function finish(node: Node, reason: Reason, now: number): void {
  const cause = node.truth.causes.get(reason);
  if (cause !== undefined) cause.until ??= now;
}

/** Returns the reasons that hold now, or held within the last `graceMs`. */
export function reasons(node: Node, now: number, graceMs: number): Reason[] {
  return [...node.truth.causes]
    .filter(([, { until }]) => until === undefined || now - until <= graceMs)
    .map(([reason]) => reason);
}

/** Returns how long a cause has lasted without a break; undefined if it does not hold. */
export function lasting(node: Node, reason: Reason, now: number): number | undefined {
  const cause = node.truth.causes.get(reason);
  return cause === undefined || cause.until !== undefined ? undefined : now - cause.since;
}
