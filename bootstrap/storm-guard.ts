/**
 * Keeps a bad image or a registrar's outage from becoming an endless loop of launching and dying.
 */

import type { Config } from '../config/config.ts';
import { messageOf } from '../core/errors.ts';
import type { Host, ScalingActivity } from '../core/host.ts';
import { jitter, withTimeout } from '../core/retry.ts';
import { readGroupTag } from '../upkeep/group-tag.ts';

export type Storm =
  | { kind: 'proceed'; failures: number }
  | { kind: 'hold'; waitMs: number; failures: number; reason: string; group?: string };

/**
 * A death this soon after the bootstrap's time was up still has to do with the bootstrap: hooks and
 * shutdown take minutes.
 */
const youthMs = 600_000;

/**
 * As many young deaths in the group as the configuration allows, and the node waits: twice as long
 * with each further one. To a node that has waited itself, whoever did not get older than
 * `ownAgeMs` is young: those that waited beside it die late.
 */
export function judgeStorm(
  activities: readonly ScalingActivity[],
  config: Config,
  now: number,
  ownAgeMs: number = 0,
): Storm {
  const { maxFailures, windowSeconds } = config.stormGuard;
  const longestMs = Math.max(config.bootstrap.timeoutSeconds * 1000 + youthMs, ownAgeMs);
  const failures = youngDeaths(activities, longestMs).filter((at) => at > now - windowSeconds * 1000).length;
  if (failures < maxFailures) return { kind: 'proceed', failures };
  const reason = `${failures} nodes of the group died young within ${windowSeconds} s`;
  return { kind: 'hold', waitMs: waitMs(failures - maxFailures, config), failures, reason };
}

/** When each instance that died young did so. */
function youngDeaths(activities: readonly ScalingActivity[], longestMs: number): number[] {
  const ends = endsOf(activities);
  const deaths = new Map<string, number>();
  for (const launch of launchesIn(activities)) {
    const end = ends.get(launch.instanceId)?.find((at) => at >= launch.at);
    // A launch that its group gave up was never in service, however long its hook waited.
    const isYoung = end !== undefined && (end - launch.at <= longestMs || !launch.succeeded);
    if (isYoung) deaths.set(launch.instanceId, end);
    else if (end === undefined && !launch.succeeded) deaths.set(launch.instanceId, launch.at);
  }
  const oldest = oldestAt(activities);
  for (const [instanceId, at] of unlisted(activities, ends)) if (at - oldest <= longestMs) deaths.set(instanceId, at);
  return [...deaths.values()];
}

/**
 * So long a history may have been cut off: the newest two thousand launches and terminations are
 * read at most.
 */
const maybeCutOff = 1_000;

/**
 * Deaths of nodes whose launch was too long ago, or too many launches ago, to be listed: nobody
 * knows that such a node was old.
 */
function unlisted(activities: readonly ScalingActivity[], ends: ReadonlyMap<string, number[]>): [string, number][] {
  if (activities.length < maybeCutOff) return [];
  const launched = new Set(launchesIn(activities).map(({ instanceId }) => instanceId));
  return [...ends].flatMap(([instanceId, [at]]) =>
    launched.has(instanceId) || at === undefined ? [] : [[instanceId, at]],
  );
}

function oldestAt(activities: readonly ScalingActivity[]): number {
  return activities.reduce((oldest, { at }) => Math.min(oldest, at), Infinity);
}

/** Not later than this; of a node that the group did not launch, now. */
function launchedAt(activities: readonly ScalingActivity[], instanceId: string, now: number): number {
  const own = activities.find(({ kind, instanceId: id }) => kind === 'launch' && id === instanceId);
  return own?.at ?? (activities.length < maybeCutOff ? now : oldestAt(activities));
}

/** A launch without an instance (no capacity) is no death. */
function launchesIn(activities: readonly ScalingActivity[]): ScalingActivity[] {
  return activities.filter(({ kind, instanceId }) => kind === 'launch' && instanceId !== '');
}

/** When each instance was terminated, earliest first. */
function endsOf(activities: readonly ScalingActivity[]): Map<string, number[]> {
  const ends = new Map<string, number[]>();
  for (const { kind, instanceId, at } of activities) {
    if (kind !== 'terminate') continue;
    const known = ends.get(instanceId);
    if (known === undefined) ends.set(instanceId, [at]);
    else
      ends.set(
        instanceId,
        [...known, at].toSorted((a, b) => a - b),
      );
  }
  return ends;
}

/**
 * How many nodes of the group are before this one in the order that all of them see: those that are
 * still there, by their ids.
 */
export function turnOf(activities: readonly ScalingActivity[], instanceId: string): number {
  const ends = endsOf(activities);
  const there = launchesIn(activities).filter((launch) => launch.succeeded && !ends.has(launch.instanceId));
  return new Set(there.map((launch) => launch.instanceId).filter((id) => id < instanceId)).size;
}

function waitMs(doublings: number, config: Config): number {
  const { firstWaitSeconds, maxWaitSeconds } = config.stormGuard;
  return Math.min(firstWaitSeconds * 2 ** doublings, maxWaitSeconds) * 1000;
}

/** Half a minute is patient with one call; the guard holds when it does not know. */
const callMs = 30_000;

/** A node that dies takes about so long until the group's history shows it to the next one. */
const turnMs = 10_000;

/** Far enough back to see the launches of those that are held for hours. */
const historyMs = 12 * 3_600_000;

/**
 * Asks the group's history. What cannot be read counts as a storm: not knowing is never a reason to
 * terminate. Nodes that failed together have seen the same history, in which nobody has died yet:
 * each waits for its turn and looks again.
 */
export async function readStorm(host: Host, config: Config, signal: AbortSignal): Promise<Storm> {
  const first = await readStormAndTurn(host, config, signal);
  if (first.storm.kind === 'hold' || first.turn === 0) return first.storm;
  const pauseMs = Math.min(first.turn * turnMs, config.stormGuard.firstWaitSeconds * 1000);
  host.log.info('waits for its turn', { before: first.turn, pauseMs });
  await host.clock.sleep(pauseMs, signal);
  return (await readStormAndTurn(host, config, signal)).storm;
}

async function readStormAndTurn(
  host: Host,
  config: Config,
  signal: AbortSignal,
): Promise<{ storm: Storm; turn: number }> {
  const now = host.clock.now();
  const { instanceId } = host.identity;
  try {
    const readMembership = (callSignal: AbortSignal) => host.cloud.readMembership(callSignal);
    const tagged = await readGroupTag(host, signal);
    const group = tagged ?? (await withTimeout(callMs, readMembership, host.clock, signal))?.group;
    // Without a group nobody launches another node.
    if (group === undefined) return { storm: { kind: 'proceed', failures: 0 }, turn: 0 };
    // And the launch of whoever died at the beginning of the window.
    const windowMs = config.stormGuard.windowSeconds * 1000 + config.bootstrap.timeoutSeconds * 1000 + youthMs;
    const since = now - Math.max(historyMs, windowMs);
    const read = (callSignal: AbortSignal) => host.cloud.readActivities(group, since, callSignal);
    const activities = await withTimeout(callMs, read, host.clock, signal);
    const others = activities.filter((activity) => activity.instanceId !== instanceId);
    const storm = judgeStorm(others, config, now, now - launchedAt(activities, instanceId, now));
    const turn = turnOf(others, instanceId);
    return { turn, storm: storm.kind === 'hold' ? { ...storm, group, waitMs: jitter(storm.waitMs) } : storm };
  } catch (error) {
    signal.throwIfAborted();
    const reason = `the group's history cannot be read: ${messageOf(error)}`;
    return { turn: 0, storm: { kind: 'hold', waitMs: jitter(waitMs(0, config)), failures: 0, reason } };
  }
}
