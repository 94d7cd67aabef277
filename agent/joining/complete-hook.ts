/** The only place that completes a lifecycle hook: ours by name, never another's. */

import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';

/**
 * An answer may take this long; a stop of the agent must not cut it off, or the group waits for an
 * hour.
 */
const callMs = 20_000;

/** False: no active action for it, not yet or no more. Goes on when the agent is told to stop. */
export function completeHook(
  host: Host,
  group: string,
  hook: string,
  result: 'CONTINUE' | 'ABANDON',
): Promise<boolean> {
  const fresh = new AbortController().signal;
  return withTimeout(
    callMs,
    (callSignal) => host.cloud.completeHook(group, hook, result, callSignal),
    host.clock,
    fresh,
  );
}
