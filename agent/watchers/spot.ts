/** Is EC2 about to take this spot instance back? */

import type { Config } from '../../config/config.ts';
import type { SpotNotice } from '../../core/host.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

/**
 * A notice that is gone for this long while the node still runs is over: it was stopped or
 * hibernated and has come back.
 */
const overAfterMs = 180_000;

export function judgeSpot(notice: SpotNotice | undefined, { spot }: Pick<Config, 'spot'>): Finding {
  if (notice === undefined) return { kind: 'well' };
  const { action, at } = notice;
  const key = `spot:${action}:${at}`;
  const reason = `spot interruption: ${action} at ${new Date(at).toISOString()}`;
  if (spot.action === 'log') return { kind: 'notable', key, reason };
  return {
    kind: 'doomed',
    key,
    reason,
    deadline: at - spot.marginSeconds * 1000,
    ending: 'await',
    revocableAfterMs: overAfterMs,
    ...(action !== 'terminate' && { returns: true as const }),
  };
}

export function watchSpot(config: Config): Watcher {
  return {
    name: 'spot',
    everyMs: config.spot.pollSeconds * 1000,
    deadlineMs: 5_000,
    check: async (host, signal) => judgeSpot(await host.metadata.readSpotNotice(signal), config),
  };
}
