/** The metrics of a running node, and the dimensions under which CloudWatch gets them. Pure. */

import type { DiskUse, MemoryUse, Metric } from '../../core/host.ts';
import { usedInodesPercent, usedPercent } from '../fullness.ts';

interface Measure<T> {
  unit: Metric['unit'];
  of(use: T): number;
}

/**
 * Every metric of a running node, by name. Dimensions: disks and inodes InstanceId + Filesystem +
 * MountPath, memory and swap InstanceId. The old monitoring scripts used these, so their alarms
 * keep working. In addition, each metric is published once by AutoScalingGroupName alone and once
 * by ClusterName alone. The scripts' utilization was used ÷ total, df's is used ÷ (used +
 * available). Space reserved for root counts as used here, which makes both the same number.
 */
export const diskMetrics: Record<string, Measure<DiskUse>> = {
  DiskSpaceUtilization: { unit: 'Percent', of: usedPercent },
  DiskSpaceUsed: { unit: 'Gigabytes', of: ({ usedBytes }) => usedBytes / gigabyte },
  DiskSpaceAvailable: { unit: 'Gigabytes', of: ({ freeBytes }) => freeBytes / gigabyte },
  DiskInodesUtilization: { unit: 'Percent', of: usedInodesPercent },
};

export const memoryMetrics: Record<string, Measure<MemoryUse>> = {
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
export const gigabyte = 2 ** 30;
export const megabyte = 2 ** 20;

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

/** `perInstance`: also those of this node by itself, each of which costs money. */
export function metricsOf(sample: Sample, perInstance = true): Metric[] {
  const { instanceId, cluster, group, disks, memory, failingChores, at } = sample;
  const aggregates = [{ ClusterName: cluster }, ...(group === undefined ? [] : [{ AutoScalingGroupName: group }])];
  const each = (name: string, value: number, unit: Metric['unit'], own: Record<string, string>): Metric[] =>
    [...(perInstance ? [own] : []), ...aggregates].map((dimensions) => ({ name, value, unit, dimensions, at }));
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
