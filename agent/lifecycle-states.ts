/** The meaning of Auto Scaling's lifecycle states for a node. */

import type { Membership } from '../core/host.ts';

/** `refused`: this role may not read the state. */
type Seen = Membership | undefined | 'refused';

const matches = (seen: Seen, states: RegExp): seen is Membership =>
  typeof seen === 'object' && states.test(seen.lifecycleState);

/** Launching, or in a warm pool. */
export function isLaunching(seen: Seen): seen is Membership {
  return matches(seen, /^(Pending|Warmed:(?!Terminat))/);
}

/** The group terminates the instance, from service or from a warm pool. */
export function isTerminating(seen: Seen): seen is Membership {
  return matches(seen, /^(Warmed:)?Terminat/);
}

/** The target state of an instance that its group terminates, from service or from a warm pool. */
export function isTerminatedTarget(target: string): boolean {
  return /^(Warmed:)?Terminated$/.test(target);
}

/**
 * The group terminates the instance, or takes it back into its warm pool where the order `returns`.
 * A pool's state confirms only an order into the pool: a node that is still on its way into the
 * pool has the same states.
 */
export function isLeavingGroup(seen: Seen, { returns }: { returns?: boolean }): seen is Membership {
  return isTerminating(seen) || (returns === true && matches(seen, /^Warmed:/));
}

/**
 * Whether a person took the node out of service. A `Detached` node runs outside its group, a
 * `Standby` node inside it. Accepts lifecycle states and target states.
 */
export function isHeldState(state: string): boolean {
  return /^(Entering)?Standby$|^Detach(ing|ed)$/.test(state);
}
