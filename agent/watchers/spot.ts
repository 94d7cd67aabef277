/** Watches for EC2's notice that it will take this spot instance. */

import type { Config } from '../../config/config.ts';
import type { SpotNotice } from '../../core/host.ts';
import { readServedTime } from '../../core/served-time.ts';
import { spotNoticeMs } from '../departure/order.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';

/**
 * If the notice is absent for this long while the node runs, it was withdrawn, or the machine was
 * stopped or hibernated and has come back. Long enough for one odd answer, and short enough to undo
 * a withdrawn notice within a minute.
 */
const overAfterMs = 20_000;

/**
 * The clocks, in milliseconds: the metadata service's and this machine's since 1970, and the
 * uptime.
 */
export interface Times {
  served: number | undefined;
  /** The metadata service's clock has been the same for a while. */
  isSteady?: boolean;
  now: number;
  uptime: number;
}

/** A notice is seen within seconds. A wall clock that leaves less time than this may be wrong. */
const leastByWallMs = spotNoticeMs / 2;

/**
 * The metadata service must tell the same time, give or take `clockStepMs`, for `steadyMs`. Until
 * then, the clock that leaves more time counts: one wrong `Date` shortened the departure for good.
 * `spot.marginSeconds` covers the delay.
 */
const steadyMs = 15_000;
const clockStepMs = 5_000;

/**
 * The time until the instance ends. At most two minutes, because EC2 gives no more. Also two
 * minutes for a time in the past, because a wrong clock is likelier than a machine that outlives
 * its end.
 */
export function leftMsOf({ at }: SpotNotice, { served, now, isSteady = false }: Times): number {
  if (at === undefined) return spotNoticeMs;
  const leftBy = (time: number) => (at <= time ? spotNoticeMs : Math.min(at - time, spotNoticeMs));
  if (served === undefined) return Math.max(leftBy(now), leastByWallMs);
  return isSteady ? leftBy(served) : Math.max(leftBy(served), leftBy(now));
}

export function judgeSpot(notice: SpotNotice | undefined, { spot }: Pick<Config, 'spot'>, times: Times): Finding {
  if (notice === undefined) return { kind: 'well' };
  const { action, at } = notice;
  const key = `spot:${action}:${at ?? 'unknown'}`;
  const when = at === undefined ? 'an unknown time' : new Date(at).toISOString();
  const reason = `spot interruption: ${action} at ${when}`;
  if (spot.action === 'log') return { kind: 'notable', key, reason };
  const ms = leftMsOf(notice, times) - spot.marginSeconds * 1000;
  return {
    kind: 'doomed',
    key,
    reason,
    deadline: Math.round(times.now + ms),
    deadlineUptime: times.uptime + ms,
    ending: 'await',
    eventKind: `spot:${action}`,
    revocableAfterMs: overAfterMs,
    ...(action !== 'terminate' && { returns: true as const }),
  };
}

export function watchSpot(config: Config): Watcher {
  let first = { offset: NaN, uptime: 0 };
  const isSteady = (served: number, uptime: number) => {
    const offset = served - uptime;
    if (!(Math.abs(offset - first.offset) <= clockStepMs)) first = { offset, uptime };
    return uptime - first.uptime >= steadyMs;
  };
  return {
    name: 'spot',
    everyMs: config.spot.pollSeconds * 1000,
    deadlineMs: 5_000,
    async check(host, signal) {
      const notice = await host.metadata.readSpotNotice(signal);
      if (notice === undefined) return { kind: 'well' };
      const served = await readServedTime(host, signal);
      const [now, uptime] = [host.clock.now(), host.clock.uptime()];
      return judgeSpot(notice, config, {
        served,
        now,
        uptime,
        isSteady: served !== undefined && isSteady(served, uptime),
      });
    },
  };
}
