/** Keeps a bad image or a registrar's outage from becoming an endless loop of launching and dying. */

import type { Config } from '../core/config.ts';
import { messageOf } from '../core/errors.ts';
import type { Host, ScalingActivity } from '../core/host.ts';
import { within } from '../core/patience.ts';

export type Storm =
  | { kind: 'proceed'; failures: number }
  | { kind: 'hold'; waitMs: number; failures: number; reason: string; group?: string };

/** A death this soon after the bootstrap's time was up still has to do with the bootstrap: hooks and shutdown take minutes. */
const youthMs = 600_000;

/** As many young deaths in the group as the configuration allows, and the node waits: twice as long with each further one. */
export function judgeStorm(activities: readonly ScalingActivity[], config: Config, now: number): Storm {
  const { maxFailures, windowSeconds } = config.stormGuard;
  const failures = youngDeaths(activities, config).filter((at) => at > now - windowSeconds * 1000).length;
  if (failures < maxFailures) return { kind: 'proceed', failures };
  const reason = `${failures} nodes of the group died young within ${windowSeconds} s`;
  return { kind: 'hold', waitMs: waitMs(failures - maxFailures, config), failures, reason };
}

/** When each instance that died young did so. */
function youngDeaths(activities: readonly ScalingActivity[], config: Config): number[] {
  const longestMs = config.bootstrap.timeoutSeconds * 1000 + youthMs;
  const deaths = new Map<string, number>();
  for (const launch of activities) {
    // A launch without an instance (no capacity) is no death.
    if (launch.kind !== 'launch' || launch.instanceId === '') continue;
    const ends = activities.filter(
      ({ kind, instanceId, at }) => kind === 'terminate' && instanceId === launch.instanceId && at >= launch.at,
    );
    const end = ends.map(({ at }) => at).toSorted((a, b) => a - b)[0];
    if (end !== undefined && end - launch.at <= longestMs) deaths.set(launch.instanceId, end);
    else if (end === undefined && !launch.succeeded) deaths.set(launch.instanceId, launch.at);
  }
  return [...deaths.values()];
}

function waitMs(doublings: number, config: Config): number {
  const { firstWaitSeconds, maxWaitSeconds } = config.stormGuard;
  return Math.min(firstWaitSeconds * 2 ** doublings, maxWaitSeconds) * 1000;
}

/** Half a minute is patient with one call; the guard holds when it does not know. */
const callMs = 30_000;

/** Asks the group's history. What cannot be read counts as a storm: not knowing is never a reason to terminate. */
export async function readStorm(host: Host, config: Config, signal: AbortSignal): Promise<Storm> {
  const now = host.clock.now();
  const { instanceId } = host.identity;
  // Far enough back to see the launch of whoever died at the beginning of the window.
  const since = now - config.stormGuard.windowSeconds * 1000 - config.bootstrap.timeoutSeconds * 1000 - youthMs;
  try {
    const membership = await within(callMs, (inner) => host.cloud.readMembership(inner), host.clock, signal);
    // Without a group nobody launches another node.
    if (membership === undefined) return { kind: 'proceed', failures: 0 };
    const { group } = membership;
    const read = (inner: AbortSignal) => host.cloud.readActivities(group, since, inner);
    const activities = await within(callMs, read, host.clock, signal);
    const others = activities.filter((activity) => activity.instanceId !== instanceId);
    const storm = judgeStorm(others, config, now);
    return storm.kind === 'hold' ? { ...storm, group } : storm;
  } catch (error) {
    signal.throwIfAborted();
    const reason = `the group's history cannot be read: ${messageOf(error)}`;
    return { kind: 'hold', waitMs: waitMs(0, config), failures: 0, reason };
  }
}
