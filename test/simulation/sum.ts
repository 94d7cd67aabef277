/** Adds up the results of many lives. */

import { count } from './world/region.ts';
import type { Life } from './simulate.ts';

export interface Sum {
  seeds: number;
  nodes: number;
  ms: number;
  events: number;
  calls: number;
  faults: Map<string, number>;
  deaths: Map<string, number>;
  checked: Map<string, number>;
  /** The seeds whose lives broke an invariant. */
  failed: number[];
}

export function emptySum(): Sum {
  const [faults, deaths, checked] = [new Map(), new Map(), new Map()];
  return { seeds: 0, nodes: 0, ms: 0, events: 0, calls: 0, faults, deaths, checked, failed: [] };
}

export function addLife(sum: Sum, { seed, ms, nodes, stats, violation }: Life): void {
  sum.seeds += 1;
  sum.nodes += nodes;
  sum.ms += ms;
  sum.events += stats.events;
  sum.calls += stats.calls;
  for (const kind of ['faults', 'deaths', 'checked'] as const) {
    for (const [name, times] of stats[kind]) count(sum[kind], name, times);
  }
  if (violation !== undefined) sum.failed.push(seed);
}
