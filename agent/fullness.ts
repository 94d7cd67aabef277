/**
 * The one definition of how full a file system is, for metrics, the watcher, `status` and `doctor`:
 * that of df's Use%.
 */

import type { DiskUse } from '../core/host.ts';

/**
 * Used ÷ (used + available), as in `df`. Blocks reserved for root count neither as used nor as
 * available.
 */
export function usedPercent({ usedBytes, freeBytes }: Pick<DiskUse, 'usedBytes' | 'freeBytes'>): number {
  return share(usedBytes, usedBytes + freeBytes);
}

/** File systems without a fixed number of inodes (btrfs) report 0. */
export function usedInodesPercent({ totalInodes, freeInodes }: Pick<DiskUse, 'totalInodes' | 'freeInodes'>): number {
  return share(totalInodes - freeInodes, totalInodes);
}

function share(part: number, whole: number): number {
  return whole > 0 ? (100 * part) / whole : 0;
}

/** Rounds up, as `df` does. An excess below 0.01 comes from rounding blocks, not from use. */
export function wholePercent(percent: number): number {
  return Math.ceil(percent - 0.01);
}

export function isClear(use: DiskUse, clearPercent: number): boolean {
  return wholePercent(usedPercent(use)) < clearPercent && wholePercent(usedInodesPercent(use)) < clearPercent;
}
