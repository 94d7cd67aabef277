/**
 * Does EC2 recommend to move away from this spot instance? It may, or may not, be interrupted
 * later.
 */

import type { Config } from '../../config/config.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

export function judgeRebalance(notice: string | undefined, { rebalance }: Pick<Config, 'rebalance'>): Finding {
  if (notice === undefined) return { kind: 'well' };
  const key = `rebalance:${notice}`;
  const reason = `rebalance recommendation of ${notice}`;
  if (rebalance.action === 'log') return { kind: 'notable', key, reason };
  // The recommendation itself never goes away, so only time undoes it.
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
