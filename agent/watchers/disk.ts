/**
 * Checks whether a file system is full. The node stops new tasks, removes unused images, and leaves
 * when that did not help.
 */

import type { Config } from '../../config/config.ts';
import { Unavailable } from '../../core/errors.ts';
import type { DiskMeasurement, DiskUse, Host } from '../../core/host.ts';
import { removeFromQueue } from '../leave-queue/leave-queue.ts';
import {
  findContainerInstance,
  resumePlacement,
  stopPlacement,
  type ContainerInstanceRef,
} from '../container-instance.ts';
import { openWatchedPaths, renderUnmeasured, secondAnswerMs, uniqueDisks } from '../docker-root.ts';
import { freeDisk } from '../free-disk.ts';
import { isClear, usedInodesPercent, usedPercent, wholePercent } from '../fullness.ts';
import { openDiskEvents } from './disk-events.ts';
import { openQueuePosition } from '../leave-queue/queue-position.ts';
import type { Finding, Watcher } from '../watching/watcher.ts';
import type { KnownFacts } from '../known-facts.ts';

/**
 * Looking up the container instance takes one or two calls, and the next check follows in a minute.
 */
const lookupMs = 20_000;

/**
 * With `disk.leave` off, the node stays drained and keeps removing images for as long as the disk
 * is full.
 */
const noTimeoutMs = Number.MAX_SAFE_INTEGER;

export function judgeDisks(
  disks: readonly DiskUse[],
  { disk }: Pick<Config, 'disk'>,
  unmeasured: DiskMeasurement['unmeasured'] = [],
): Finding {
  const uses = disks.flatMap((use) => [
    { what: use.mountPath, percent: wholePercent(usedPercent(use)) },
    { what: `inodes of ${use.mountPath}`, percent: wholePercent(usedInodesPercent(use)) },
  ]);
  const facts = { disks: disks.map(renderUse), ...(unmeasured.length > 0 && { unmeasured }) };
  const above = (limit: number) => uses.filter(({ percent }) => percent >= limit);
  const full = above(disk.fullPercent);
  const notFreed = above(disk.clearPercent);
  if (notFreed.length === 0) return { kind: 'well', facts };
  const worst = (full.length > 0 ? full : notFreed).toSorted((a, b) => b.percent - a.percent);
  return {
    kind: 'ailing',
    reason: `disk full: ${worst.map(({ what, percent }) => `${what} ${percent} %`).join(', ')}`,
    patienceMs: 0,
    checks: disk.checks,
    treatments: disk.leave ? 1 : noTimeoutMs,
    thenLeave: disk.leave,
    ...(full.length === 0 && { mild: true as const }),
    facts,
  };
}

function renderUse(use: DiskUse): object {
  const { path, filesystem, mountPath } = use;
  return {
    path,
    filesystem,
    mountPath,
    usedPercent: wholePercent(usedPercent(use)),
    usedInodesPercent: wholePercent(usedInodesPercent(use)),
  };
}

export function watchDisk(config: Config, knownFacts: KnownFacts = {}): Watcher {
  const { checkSeconds, maxLeavingPercent } = config.disk;
  const queuePosition = openQueuePosition('disk', maxLeavingPercent, knownFacts);
  const watched = openWatchedPaths(config, secondAnswerMs);
  const events = openDiskEvents();
  // The paths without an answer at the last check, so that the journal gets each change once.
  let told = '';
  /** Paths that were full when they were last measured. */
  const full = new Set<string>();
  return {
    name: 'disk',
    everyMs: checkSeconds * 1000,
    // Docker's root takes at most 5 s, a hanging file system 20 s.
    deadlineMs: 30_000,
    // Before the node has joined, there is no leave queue: a bad image would take its whole group
    // down.
    afterJoin: true,
    drains: true,

    async check(host, signal) {
      const paths = await watched.list(host, signal);
      const { uses, unmeasured } = await host.machine.measureDisks(paths);
      const trouble = renderUnmeasured(unmeasured);
      if (trouble !== told && trouble !== '') host.log.warn('disks not measured', { unmeasured });
      told = trouble;
      remember(full, uses, config);
      const disks = uniqueDisks(uses);
      events.measured(disks);
      const finding = judgeDisks(disks, config, unmeasured);
      // "Well" would make a drained node ACTIVE again. So paths that were full, and those that
      // matter on every node, must be measured first.
      const { docker, images } = await watched.readRoots(host, signal);
      const essential = new Set(['/', docker, images, ...full]);
      const missing = unmeasured.filter(({ path }) => essential.has(path));
      if (finding.kind === 'well' && missing.length > 0) throw new Unavailable(renderUnmeasured(missing));
      return finding;
    },

    async treat(host, _attempt, signal) {
      try {
        const containerInstance = await findRecord(host, config, signal);
        const go = await queuePosition.mayLeave(host, containerInstance, signal);
        if (go) await stopPlacement(host, containerInstance, lookupMs, signal);
        return go ? 'done' : 'wait';
      } finally {
        events.full(host);
        // A node that waits in the leave queue, or for AWS, can still remove images.
        if (config.disk.prune) await freeDisk(host, config, watched, signal);
      }
    },

    // The node has queued for its treatment, unless it gave that place up meanwhile.
    async mayLeave(host, signal) {
      const containerInstance = await findRecord(host, config, signal);
      return (await queuePosition.mayLeave(host, containerInstance, signal)) ? 'go' : 'wait';
    },

    hasMissed: queuePosition.isShown,

    async recover(host, signal) {
      // The record would be deregistered with tasks that ECS has placed on the ACTIVE node.
      if (knownFacts.registersAnew === true) throw new Unavailable('the node registers anew');
      const containerInstance = await findContainerInstance(host, config, lookupMs, signal);
      // Only the leave queue shows, even after a reboot, that this program stopped placement, and
      // not a person.
      const isQueued = await queuePosition.isQueued(host, containerInstance, signal);
      if (containerInstance === undefined) return;
      if (isQueued) {
        await resumePlacement(host, containerInstance, lookupMs, signal);
        await removeFromQueue(host, containerInstance, 'disk', signal);
        host.log.info(full.size === 0 ? 'disk freed, ACTIVE again' : 'ACTIVE again, although the disk is full');
      }
      // The node may stay for another reason, with its disk as full as before.
      if (full.size === 0) events.freed(host, isQueued);
    },
  };
}

async function findRecord(host: Host, config: Config, signal: AbortSignal): Promise<ContainerInstanceRef> {
  const containerInstance = await findContainerInstance(host, config, lookupMs, signal);
  if (containerInstance === undefined) throw new Unavailable('ECS does not know this node, so nothing can be drained');
  return containerInstance;
}

function remember(full: Set<string>, uses: readonly DiskUse[], { disk }: Pick<Config, 'disk'>): void {
  for (const use of uses) {
    if (isClear(use, disk.clearPercent)) full.delete(use.path);
    else full.add(use.path);
  }
}
