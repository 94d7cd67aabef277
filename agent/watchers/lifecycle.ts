/** Watches the state that Auto Scaling wants for this instance. */

import type { Config } from '../../config/config.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

/**
 * A target state that returns to InService for this long was withdrawn. One odd answer does not
 * count.
 */
const takenBackAfterMs = 10_000;

/**
 * The target state changes before the group's own state. Placement stops at once, because that can
 * be undone. The departure confirms with Auto Scaling before any further action
 * (departure/confirm.ts).
 */
export function judgeTarget(target: string | undefined, joined: boolean): Finding {
  const key = `target:${target}`;
  if (target === 'Terminated') {
    const reason = 'Auto Scaling terminates this instance';
    return { kind: 'doomed', key, reason, ending: 'await', revocableAfterMs: takenBackAfterMs };
  }
  // Before it has joined, the node is in the pool already, or on its way there.
  if (target?.startsWith('Warmed:') === true && joined) {
    const reason = `Auto Scaling takes this instance back into the warm pool (${target})`;
    const returns = target !== 'Warmed:Terminated';
    return {
      kind: 'doomed',
      key,
      reason,
      ending: 'await',
      revocableAfterMs: takenBackAfterMs,
      ...(returns && { returns }),
    };
  }
  if (target === undefined || target === 'InService' || target.startsWith('Warmed:')) return { kind: 'well' };
  // For Standby and Detached, and for any new state of AWS, the node does nothing.
  return { kind: 'notable', key, reason: `Auto Scaling's target state is ${target}` };
}

export function watchLifecycle(config: Config, joined: () => boolean): Watcher {
  return {
    name: 'scale-in',
    everyMs: config.autoScaling.pollSeconds * 1000,
    deadlineMs: 5_000,
    check: async (host, signal) => judgeTarget(await host.metadata.readTargetState(signal), joined()),
  };
}
