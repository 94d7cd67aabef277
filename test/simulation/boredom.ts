/** A node to which nothing happens for a long time: what it holds and what it writes must not grow. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openChance } from './chance.ts';
import { checkEvent, openWitness } from './check.ts';
import type { Sky } from './effects.ts';
import { boot } from './machine-life.ts';
import { openNode } from './node.ts';
import { openDisk } from './disk.ts';
import { openRegion } from './region.ts';
import { drawScenario, type Scenario } from './scenario.ts';

const dayMs = 86_400_000;

/** Node's own noise between two collections. */
const maxGrowthBytes = 1_500_000;

/** A healthy node has nothing to tell. */
const maxLinesPerDay = 4;

/** Short sleeps take up to a minute: the same loops, a thirtieth of the turns. */
const slowness = 30;

export interface Boredom {
  ok: boolean;
  text: string;
  /** When all code has run once, and at the end. */
  heapBytes: [number, number];
  timers: [number, number];
  linesPerDay: number;
}

/** With Node's own AbortSignal, whose listeners are what leaks most easily. */
export async function boredom(seed: number, days: number): Promise<Boredom> {
  const chance = openChance(seed);
  const scenario = boring(drawScenario(chance));
  const region = openRegion(scenario, chance, 10);
  const sky: Sky = { clock: region.clock, chance, weather: region.weather, witness: openWitness(region), slowness };
  const node = openNode(region, 1);
  region.nodes.push(node);
  openDisk(region, node);
  node.group?.begin('launch');
  region.calm = true;
  boot(region, sky, node);
  await region.clock.settle();
  const measure = async (until: number) => {
    while (region.violation === undefined && (await region.clock.step(until))) checkEvent(region);
    await collect();
    return { heap: process.memoryUsage().heapUsed, timers: region.clock.sleeping(), lines: node.logLines };
  };
  const warmDays = Math.max(1, days / 10);
  const early = await measure(warmDays * dayMs);
  const late = await measure(days * dayMs);
  const linesPerDay = (late.lines - early.lines) / (days - warmDays);
  const ok =
    region.violation === undefined &&
    node.agent?.alive === true &&
    late.heap - early.heap < maxGrowthBytes &&
    late.timers <= early.timers + 5 &&
    linesPerDay <= maxLinesPerDay;
  const text = [
    `${days} days of boredom, seed ${seed}, ${region.stats.calls} calls: ${ok ? 'nothing grew' : `FAILED ${region.violation?.what ?? ''}`}`,
    `  heap ${mb(early.heap)} MB after ${warmDays} days, ${mb(late.heap)} MB at the end (may grow by ${mb(maxGrowthBytes)})`,
    `  timers ${early.timers}, then ${late.timers}; ${linesPerDay.toFixed(2)} lines of log per day (may be ${maxLinesPerDay})`,
  ].join('\n');
  return { ok, text, heapBytes: [early.heap, late.heap], timers: [early.timers, late.timers], linesPerDay };
}

function boring(scenario: Scenario): Scenario {
  Object.assign(scenario.opsworks, { registersAs: 'registered', registersAfterMs: 30_000 });
  Object.assign(scenario.opsworks, { setupEndsAs: 'online', setupTakesMs: 30_000 });
  return {
    ...scenario,
    planted: undefined,
    denied: [],
    daily: 0,
    pingAfterMs: 10_000,
    nodes: 1,
    accidentEveryMs: Infinity,
  };
}

function mb(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}

/** What is left afterwards is really held. Weak references to signals are let go in a later turn. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let round = 0; round < 3; round++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
