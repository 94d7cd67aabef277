/**
 * Why a node may leave, whatever it believes: written by those who make it so, read by the
 * invariants.
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
  /** One source says so, and the other one does not: DRAINING may follow, and nothing else. */
  | 'lie';

export interface Cause {
  since: number;
  /** Undefined: it lasts. */
  until: number | undefined;
}

/** A break of at most `unseenMs` was none: whoever looks now and then cannot have seen it. */
export function begin(node: Node, reason: Reason, now: number, unseenMs = 0): void {
  const before = node.truth.causes.get(reason);
  if (before !== undefined && before.until === undefined) return;
  const goesOn = before?.until !== undefined && now - before.until <= unseenMs;
  node.truth.causes.set(reason, { since: goesOn ? before.since : now, until: undefined });
}

export function finish(node: Node, reason: Reason, now: number): void {
  const cause = node.truth.causes.get(reason);
  if (cause !== undefined) cause.until ??= now;
}

/** Those that hold now, or did within the last `graceMs`. */
export function reasons(node: Node, now: number, graceMs: number): Reason[] {
  return [...node.truth.causes]
    .filter(([, { until }]) => until === undefined || now - until <= graceMs)
    .map(([reason]) => reason);
}

/** How long a cause has lasted without a break; undefined when it does not hold. */
export function lasting(node: Node, reason: Reason, now: number): number | undefined {
  const cause = node.truth.causes.get(reason);
  return cause === undefined || cause.until !== undefined ? undefined : now - cause.since;
}
