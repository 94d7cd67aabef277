/**
 * The only file that completes lifecycle hooks: only the hook named in this node's configuration.
 */

import type { Confirmed } from '../../core/confirmed.ts';
import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';

/**
 * The time for one answer. A stop of the agent must not interrupt the call, or the group waits for
 * the hook's full time, an hour.
 */
const callMs = 20_000;

/**
 * Pauses between tries after a refusal. Fast enough for a short hook; a role without the permission
 * gets a few refusals an hour.
 */
export const refusedHookPauses = { firstMs: 30_000, longestMs: 900_000 };

/**
 * Completes the hook with CONTINUE, even while the agent is told to stop. False: the hook has no
 * active action, not yet or no longer.
 */
export function completeHook(host: Host, group: string, hook: string): Promise<boolean> {
  return complete(host, group, hook, 'CONTINUE');
}

/** Completes the launch hook with ABANDON, which terminates the instance and replaces it. */
export function abandonLaunch(host: Host, group: string, hook: string, _confirmed: Confirmed): Promise<boolean> {
  return complete(host, group, hook, 'ABANDON');
}

function complete(host: Host, group: string, hook: string, result: 'CONTINUE' | 'ABANDON'): Promise<boolean> {
  const fresh = new AbortController().signal;
  return withTimeout(
    callMs,
    (callSignal) => host.cloud.completeHook(group, hook, result, callSignal),
    host.clock,
    fresh,
  );
}
