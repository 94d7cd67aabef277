/** What has Auto Scaling in mind for this instance? */

import type { Config } from '../../config/config.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

/** A target that is InService again for this long, and not for one odd answer, was taken back. */
const takenBackAfterMs = 10_000;

/**
 * The target state runs ahead of the group's own: placement is stopped at once, since that can be
 * undone, and the departure confirms with Auto Scaling before it does anything else
 * (departure/hook.ts).
 */
export function judgeTarget(target: string | undefined, joined: boolean): Finding {
  const key = `target:${target}`;
  if (target === 'Terminated') {
    const reason = 'Auto Scaling terminates this instance';
    return { kind: 'doomed', key, reason, ending: 'await', revocableAfterMs: takenBackAfterMs };
  }
  // Before it has joined the node is in the pool already, or on its way there.
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
  // Standby and Detached leave the node alone; so does what AWS may invent.
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
