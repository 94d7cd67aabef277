/**
 * Watches for EC2's recommendation to move away from this spot instance. EC2 may interrupt the
 * instance later, or not.
 */

import type { Config } from '../../config/config.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

export function judgeRebalance(notice: string | undefined, { rebalance }: Pick<Config, 'rebalance'>): Finding {
  if (notice === undefined) return { kind: 'well' };
  const key = `rebalance:${notice}`;
  const reason = `rebalance recommendation of ${notice}`;
  if (rebalance.action === 'log') return { kind: 'notable', key, reason };
  // The recommendation never disappears, so only a timer can undo the departure.
  return { kind: 'doomed', key, reason, ending: 'remain', undoAfterMs: rebalance.undoSeconds * 1000 };
}

export function watchRebalance(config: Config): Watcher {
  return {
    name: 'rebalance',
    everyMs: config.rebalance.pollSeconds * 1000,
    deadlineMs: 5_000,
    check: async (host, signal) => judgeRebalance(await host.metadata.readRebalanceNotice(signal), config),
  };
}
