/**
 * Stops a bad image or a registrar's outage from launching and terminating nodes in an endless
 * loop.
 */

import type { Config } from '../config/config.ts';
import { messageOf } from '../core/errors.ts';
import type { Host, ScalingActivity } from '../core/host.ts';
import { singleErrorMs } from '../core/lasting.ts';
import { jitter, withTimeout } from '../core/retry.ts';
import { readServedTime } from '../core/served-time.ts';
import { readHistory } from '../upkeep/group-history.ts';
import { readGroupTag, readMembership } from '../upkeep/group-tag.ts';

export type Storm =
  | { kind: 'proceed'; failures: number }
  | { kind: 'hold'; waitMs: number; failures: number; reason: string; group?: string };

/**
 * An instance that ended within 10 minutes after its time to start counts as an early failure:
 * the boot, lifecycle hooks and the shutdown take minutes.
 */
const youthMs = 600_000;

/** A node fails at its bootstrap's deadline, or later, when ECS has not seen it join in time. */
function triesMs({ bootstrap, join }: Config): number {
  return (bootstrap.timeoutSeconds + join.timeoutSeconds) * 1000;
}

/**
 * The node waits once the group has `maxFailures` early failures; each further one doubles the
 * wait. After a node has waited itself, an instance that ended older than this one counts too:
 * nodes that waited at the same time end late, and this one may have replaced another. One
 * generation older at most: a group that scales in must not keep this node waiting for ever.
 */
export function judgeStorm(
  activities: readonly ScalingActivity[],
  config: Config,
  now: number,
  ownAgeMs: number = 0,
): Storm {
  const { maxFailures, windowSeconds } = config.stormGuard;
  const generationMs = triesMs(config) + youthMs;
  const longestMs = ownAgeMs > generationMs ? ownAgeMs + generationMs : generationMs;
  const failures = youngDeaths(activities, longestMs).filter((at) => at > now - windowSeconds * 1000).length;
  if (failures < maxFailures) return { kind: 'proceed', failures };
  const reason = `${failures} nodes of the group died young within ${windowSeconds} s`;
  return { kind: 'hold', waitMs: waitMs(failures - maxFailures, config), failures, reason };
}

/** The time at which each early failure ended. */
function youngDeaths(activities: readonly ScalingActivity[], longestMs: number): number[] {
  const ends = endsOf(activities);
  const deaths = new Map<string, number>();
  for (const launch of launchesIn(activities)) {
    const end = ends.get(launch.instanceId)?.find((at) => at >= launch.at);
    // A launch that its group gave up was never in service, so it counts whatever its hook's wait
    // was.
    const isYoung = end !== undefined && (end - launch.at <= longestMs || !launch.succeeded);
    if (isYoung) deaths.set(launch.instanceId, end);
    else if (end === undefined && !launch.succeeded) deaths.set(launch.instanceId, launch.at);
  }
  const oldest = oldestAt(activities);
  for (const [instanceId, at] of unlisted(activities, ends)) if (at - oldest <= longestMs) deaths.set(instanceId, at);
  return [...deaths.values()];
}

/**
 * A history of this length may be incomplete: at most the newest 2000 launches and terminations are
 * read.
 */
const maybeCutOff = 1_000;

/**
 * Terminations whose launch is too old to be listed, or was cut off from the list. Such a node may
 * have been young, so it counts.
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

/**
 * A fast clock would find every failure too old to count. The history itself limits the time: now
 * is shortly after the newest activity, and this machine has run for its uptime since its launch.
 */
function limitTime(
  served: number | undefined,
  activities: readonly ScalingActivity[],
  { clock, identity }: Host,
): number {
  const told = served ?? clock.now();
  const own = activities.find(({ kind, instanceId }) => kind === 'launch' && instanceId === identity.instanceId);
  if (activities.length === 0 || (own === undefined && served !== undefined)) return told;
  const newest = activities.reduce((latest, { at }) => Math.max(latest, at), -Infinity);
  return Math.min(told, Math.max(newest, (own?.at ?? -Infinity) + clock.uptime()));
}

/**
 * The latest time at which the instance can have been launched; `now` for a node that the group did
 * not launch.
 */
function launchedAt(activities: readonly ScalingActivity[], instanceId: string, now: number): number {
  const own = activities.find(({ kind, instanceId: id }) => kind === 'launch' && id === instanceId);
  return own?.at ?? (activities.length < maybeCutOff ? now : oldestAt(activities));
}

/** A launch without an instance (no capacity) is no failure of a node. */
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
 * How many nodes of the group are before this one in the order that all of them see: instances that
 * still exist, sorted by id.
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

/** 30 s is long for one call. Without an answer the node is held. */
const callMs = 30_000;

/** About 10 s pass until the group's history shows one node's end to the next node. */
const turnMs = 10_000;

/** One answer may lack the terminations of a storm, for a minute. */
const againMs = singleErrorMs;

/** 12 hours: far enough back to see the launches of nodes that were held for hours. */
const historyMs = 12 * 3_600_000;

/**
 * Reads the group's history. An unreadable history counts as a storm: not knowing is never a reason
 * to terminate. A quiet history counts only where a later one is quiet as well. Nodes that fail
 * together all see a history without a failure, so each waits for its turn, and the first one for
 * `againMs`.
 */
export async function readStorm(host: Host, config: Config, signal: AbortSignal): Promise<Storm> {
  const first = await readStormAndTurn(host, config, signal);
  if (first.storm.kind === 'hold') return first.storm;
  const longestMs = config.stormGuard.firstWaitSeconds * 1000;
  // In a large group most turns are later than the longest pause. Without jitter all of them would
  // read at the same moment, again before any of them has ended.
  const pauseMs = againMs + (first.turn * turnMs < longestMs ? first.turn * turnMs : jitter(longestMs));
  host.log.info('waits for its turn', { before: first.turn, pauseMs });
  await host.clock.sleep(pauseMs, signal);
  return (await readStormAndTurn(host, config, signal)).storm;
}

async function readStormAndTurn(
  host: Host,
  config: Config,
  signal: AbortSignal,
): Promise<{ storm: Storm; turn: number }> {
  const { instanceId } = host.identity;
  try {
    const served = await readServedTime(host, signal);
    const tagged = await readGroupTag(host, signal);
    const group =
      tagged ??
      (await withTimeout(callMs, (callSignal) => readMembership(host, callSignal), host.clock, signal))?.group;
    // Without a group nothing launches a replacement, so no storm can arise.
    if (group === undefined) return { storm: { kind: 'proceed', failures: 0 }, turn: 0 };
    // Also covers the launch of an instance that ended at the beginning of the window.
    const windowMs = config.stormGuard.windowSeconds * 1000 + triesMs(config) + youthMs;
    // Without a trusted time, the whole history: a fast clock would ask for the future only.
    const since = served === undefined ? 0 : Math.min(served, host.clock.now()) - Math.max(historyMs, windowMs);
    const activities = await readHistory(since, (from) =>
      withTimeout(callMs, (callSignal) => host.cloud.readActivities(group, from, callSignal), host.clock, signal),
    );
    const now = limitTime(served, activities, host);
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
