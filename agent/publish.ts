/**
 * Publishes this node's use of disk, inodes, memory and swap, so that alarms see it; one call for
 * all.
 */

import type { Config } from '../config/config.ts';
import { messageOf } from '../core/errors.ts';
import type { DiskUse, Host, MemoryUse, Metric } from '../core/host.ts';
import { callOnce } from './calls.ts';
import { openWatchedPaths, uniqueDisks, type WatchedPaths } from './docker-root.ts';
import { usedInodesPercent, usedPercent } from './fullness.ts';
import { readGroup, type KnownFacts } from './known-facts.ts';

/**
 * Every metric of a running node, by name. Dimensions: disks and inodes InstanceId + Filesystem +
 * MountPath, memory and swap InstanceId. The old monitoring scripts used these, so their alarms
 * keep working. In addition, each metric is published once by AutoScalingGroupName alone and once
 * by ClusterName alone. The scripts' utilization was used ÷ total, df's is used ÷ (used +
 * available). Space reserved for root counts as used here, which makes both the same number.
 */
const diskMetrics: Record<string, { unit: Metric['unit']; of(use: DiskUse): number }> = {
  DiskSpaceUtilization: { unit: 'Percent', of: usedPercent },
  DiskSpaceUsed: { unit: 'Gigabytes', of: ({ usedBytes }) => usedBytes / gigabyte },
  DiskSpaceAvailable: { unit: 'Gigabytes', of: ({ freeBytes }) => freeBytes / gigabyte },
  DiskInodesUtilization: { unit: 'Percent', of: usedInodesPercent },
};

const memoryMetrics: Record<string, { unit: Metric['unit']; of(use: MemoryUse): number }> = {
  MemoryUtilization: {
    unit: 'Percent',
    of: ({ totalBytes, availableBytes }) => share(totalBytes - availableBytes, totalBytes),
  },
  MemoryUsed: { unit: 'Megabytes', of: ({ totalBytes, availableBytes }) => (totalBytes - availableBytes) / megabyte },
  MemoryAvailable: { unit: 'Megabytes', of: ({ availableBytes }) => availableBytes / megabyte },
  SwapUtilization: {
    unit: 'Percent',
    of: ({ swapTotalBytes, swapFreeBytes }) => share(swapTotalBytes - swapFreeBytes, swapTotalBytes),
  },
  SwapUsed: {
    unit: 'Megabytes',
    of: ({ swapTotalBytes, swapFreeBytes }) => (swapTotalBytes - swapFreeBytes) / megabyte,
  },
};

/** The old monitoring scripts counted in powers of two. */
const gigabyte = 2 ** 30;
const megabyte = 2 ** 20;

function share(used: number, total: number): number {
  return total > 0 ? (100 * used) / total : 0;
}

export interface Sample {
  instanceId: string;
  cluster: string;
  /** Absent where the node is in no Auto Scaling group. */
  group: string | undefined;
  disks: readonly DiskUse[];
  memory: MemoryUse;
  /** The number of chores whose last round failed; absent where none is configured. */
  failingChores?: number | undefined;
  at: number;
}

export function metricsOf({ instanceId, cluster, group, disks, memory, failingChores, at }: Sample): Metric[] {
  const aggregates = [{ ClusterName: cluster }, ...(group === undefined ? [] : [{ AutoScalingGroupName: group }])];
  const each = (name: string, value: number, unit: Metric['unit'], own: Record<string, string>): Metric[] =>
    [own, ...aggregates].map((dimensions) => ({ name, value, unit, dimensions, at }));
  return [
    ...disks.flatMap((use) =>
      Object.entries(diskMetrics).flatMap(([name, { unit, of }]) =>
        each(name, of(use), unit, {
          InstanceId: instanceId,
          Filesystem: use.filesystem,
          MountPath: use.mountPath,
        }),
      ),
    ),
    ...Object.entries(memoryMetrics).flatMap(([name, { unit, of }]) =>
      each(name, of(memory), unit, { InstanceId: instanceId }),
    ),
    ...(failingChores === undefined ? [] : each('UpkeepFailing', failingChores, 'Count', { InstanceId: instanceId })),
  ].filter(({ value }) => Number.isFinite(value));
}

/** Soon enough for a dashboard to show a new node, and late enough not to slow down its boot. */
const firstWithinMs = 30_000;

/** Publishes until the signal aborts. A failure is logged and ends nothing. */
export async function publishMetrics(
  host: Host,
  config: Config,
  countFailing: () => number | undefined,
  signal: AbortSignal,
  knownFacts: KnownFacts = {},
  random: () => number = Math.random,
): Promise<void> {
  if (!config.metrics.enabled) return;
  const watched = openWatchedPaths(config);
  const publishOnce = (group: string | undefined) =>
    publishAs(host, config, { group, failingChores: countFailing(), watched }, signal);
  let group: { name: string | undefined } | undefined;
  let failed = false;
  await host.clock.sleep(random() * Math.min(firstWithinMs, config.metrics.everySeconds * 500), signal);
  for (;;) {
    try {
      group ??= { name: await readGroup(host, knownFacts, signal) };
      await publishOnce(group.name);
      failed = false;
    } catch (error) {
      signal.throwIfAborted();
      if (!failed) host.log.warn('metrics not published', { error: messageOf(error) });
      failed = true;
      // Without the group's name, the other dimensions are still worth publishing.
      if (group === undefined) await publishOnce(undefined).catch(() => signal.throwIfAborted());
    }
    await host.clock.sleep(config.metrics.everySeconds * 1000 * (0.9 + 0.2 * random()), signal);
  }
}

interface Known {
  group: string | undefined;
  failingChores: number | undefined;
  watched: WatchedPaths;
}

async function publishAs(host: Host, config: Config, known: Known, signal: AbortSignal): Promise<void> {
  const { group, failingChores, watched } = known;
  // An unmeasurable path has no data points; the other paths have theirs.
  const { uses } = await host.machine.measureDisks(await watched.list(host, signal));
  const disks = uniqueDisks(uses);
  const memory = await host.machine.measureMemory();
  const { instanceId } = host.identity;
  const { cluster } = config;
  const metrics = metricsOf({ instanceId, cluster, group, disks, memory, failingChores, at: host.clock.now() });
  await callOnce(host, signal, (callSignal) => host.cloud.publish(config.metrics.namespace, metrics, callSignal));
}
