/** Is a file system full? Stops new tasks, removes unused images, and gives the node up when that did not help. */

import type { Config } from '../../core/config.ts';
import { Unavailable, messageOf } from '../../core/errors.ts';
import type { DiskUse, Host } from '../../core/host.ts';
import { leaveQueue } from '../brake.ts';
import { findPlace, resumePlacement, stopPlacement } from '../container-instance.ts';
import { watchedPaths } from '../docker-root.ts';
import { openStand } from '../stand.ts';
import type { Finding, Watcher } from '../watcher.ts';
import type { Sighting } from '../sighting.ts';

/** Looking up a place costs a call or two; the next check comes in a minute anyway. */
const placeMs = 20_000;

/** What never ends: with `disk.leave` off the node stays out of service and goes on tidying up. */
const forEver = Number.MAX_SAFE_INTEGER;

/** As `df` has it: used ÷ (used + available), of bytes and of inodes. What is reserved for root counts as used. */
export function usedPercent({ totalBytes, freeBytes }: Pick<DiskUse, 'totalBytes' | 'freeBytes'>): number {
  return totalBytes > 0 ? (100 * (totalBytes - freeBytes)) / totalBytes : 0;
}

/** File systems without a fixed number of inodes (btrfs) say 0. */
export function usedInodesPercent({ totalInodes, freeInodes }: Pick<DiskUse, 'totalInodes' | 'freeInodes'>): number {
  return totalInodes > 0 ? (100 * (totalInodes - freeInodes)) / totalInodes : 0;
}

export function judgeDisks(disks: readonly DiskUse[], { disk }: Pick<Config, 'disk'>): Finding {
  const uses = disks.flatMap((use) => [
    { what: use.mountPath, percent: usedPercent(use) },
    { what: `inodes of ${use.mountPath}`, percent: usedInodesPercent(use) },
  ]);
  const facts = { disks: disks.map(renderUse) };
  const above = (limit: number) => uses.filter(({ percent }) => percent >= limit);
  const full = above(disk.fullPercent);
  const notFreed = above(disk.clearPercent);
  if (notFreed.length === 0) return { kind: 'well', facts };
  const worst = (full.length > 0 ? full : notFreed).toSorted((a, b) => b.percent - a.percent);
  return {
    kind: 'ailing',
    reason: `disk full: ${worst.map(({ what, percent }) => `${what} ${Math.floor(percent)} %`).join(', ')}`,
    patienceMs: 0,
    checks: disk.checks,
    treatments: disk.leave ? 1 : forEver,
    thenLeave: disk.leave,
    ...(full.length === 0 && { mild: true as const }),
    facts,
  };
}

function renderUse(use: DiskUse): object {
  const { path, filesystem, mountPath } = use;
  const percent = Math.round(usedPercent(use));
  return { path, filesystem, mountPath, usedPercent: percent, usedInodesPercent: Math.round(usedInodesPercent(use)) };
}

export function watchDisk(config: Config, sighting: Sighting = {}): Watcher {
  const { checkSeconds, maxLeavingPercent } = config.disk;
  const stand = openStand('disk', maxLeavingPercent, sighting);
  return {
    name: 'disk',
    everyMs: checkSeconds * 1000,
    // `df` on a network file system may take its 10 s for each path.
    deadlineMs: 30_000,
    // Before that there is no queue to stand in: a bad image would take its whole group with it.
    afterJoin: true,
    drains: true,

    async check(host) {
      const all = await Promise.all((await watchedPaths(host, config)).map((path) => host.machine.measureDisk(path)));
      // One file system under several paths is one disk.
      return judgeDisks([...new Map(all.map((use) => [use.mountPath, use])).values()], config);
    },

    async treat(host, attempt, signal) {
      try {
        const place = await findPlace(host, config, placeMs, signal);
        if (place === undefined) throw new Unavailable('ECS does not know this node, so nothing can be drained');
        const go = attempt > 1 || (await stand.mayGo(host, place, signal));
        if (go) await stopPlacement(host, place, placeMs, signal);
        return go ? 'done' : 'wait';
      } finally {
        // Whoever waits for its turn, or for AWS, can still tidy up.
        if (config.disk.prune) await prune(host, signal);
      }
    },

    async recover(host, signal) {
      const place = await findPlace(host, config, placeMs, signal);
      // Only the queue tells, also after a reboot, that it was us who stopped placement, and not a person.
      if (place === undefined) return;
      if (!(await stand.isQueued(host, place, signal))) return;
      await resumePlacement(host, place, placeMs, signal);
      await leaveQueue(host, place, 'disk', signal);
      host.log.info('disk freed, ACTIVE again');
    },
  };
}

async function prune(host: Host, signal: AbortSignal): Promise<void> {
  try {
    const bytes = await host.machine.pruneImages(signal);
    host.log.info('unused images removed', { bytes });
  } catch (error) {
    signal.throwIfAborted();
    // A full disk is what Docker fails on: the node goes on to leave.
    host.log.warn('images not removed', { error: messageOf(error) });
  }
}
