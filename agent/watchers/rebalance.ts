/**
 * Watches for EC2's recommendation to move away from this spot instance. EC2 may interrupt the
 * instance later, or not.
 */

import type { Config } from '../../config/config.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

/**
 * A true recommendation never disappears. If it is absent for this long, the metadata service named
 * it wrongly. Silence is a throw, and no absence.
 */
const absentMs = 60_000;

export function judgeRebalance(notice: string | undefined, { rebalance }: Pick<Config, 'rebalance'>): Finding {
  if (notice === undefined) return { kind: 'well' };
  const key = `rebalance:${notice}`;
  const reason = `rebalance recommendation of ${notice}`;
  if (rebalance.action === 'log') return { kind: 'notable', key, reason };
  // A true recommendation stays listed, so a timer undoes the departure.
  const undoAfterMs = rebalance.undoSeconds * 1000;
  return { kind: 'doomed', key, reason, ending: 'remain', undoAfterMs, revocableAfterMs: absentMs };
}

export function watchRebalance(config: Config): Watcher {
  return {
    name: 'rebalance',
    everyMs: config.rebalance.pollSeconds * 1000,
    deadlineMs: 5_000,
    check: async (host, signal) => judgeRebalance(await host.metadata.readRebalanceNotice(signal), config),
  };
}
