/** The only file that completes a lifecycle hook: ours by name, never another's. */

import type { Confirmed } from '../../core/confirmed.ts';
import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';

/**
 * An answer may take this long; a stop of the agent must not cut it off, or the group waits for an
 * hour.
 */
const callMs = 20_000;

/**
 * CONTINUE. False: no active action for it, not yet or no more. Goes on when the agent is told to
 * stop.
 */
export function completeHook(host: Host, group: string, hook: string): Promise<boolean> {
  return complete(host, group, hook, 'CONTINUE');
}

/** ABANDON of the launch hook, which ends the instance and replaces it. */
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
