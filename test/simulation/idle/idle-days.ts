/**
 * Runs a node without any event for a long time, and checks that its memory and its writes do not
 * grow.
 */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { IdleOptions, IdleSample } from './idle-node.ts';
import { bytesOf, whatGrew, readHeapHistogram, type HeapHistogram } from '../heap-histogram.ts';

/** The measured time has this many windows. */
const windows = 9;

/**
 * Windows before the first measure that counts: by then all code has run, and all one-time objects
 * exist.
 */
const warmUp = 2;

/** The highest and the lowest of this many first and last measures show the noise. */
const alike = 3;

/**
 * The allowed growth from the first to the last measures. The smallest leak, one list slot per
 * check of one watcher, is 30 kB in four days with a check per minute. Without a leak the growth is
 * less than 4 kB, in four days as in a year.
 */
const maxGrowthBytes = 8_000;

/** A healthy node logs almost nothing. */
const maxLinesPerDay = 4;

export interface IdleResult {
  ok: boolean;
  text: string;
}

interface Measure extends IdleSample {
  day: number;
  bytes: number;
}

/** Runs the life in a thread of its own, because the measure covers everything in the thread. */
export async function runIdleDays(
  seed: number,
  days: number,
  rate: IdleOptions['rate'] = 'often',
): Promise<IdleResult> {
  const worker = new Worker(new URL('./idle-node.ts', import.meta.url), {
    workerData: { seed, rate } satisfies IdleOptions,
  });
  try {
    let [begins, ends] = [(days * warmUp) / (windows + warmUp), days];
    await liveUntil(worker, begins);
    const first = await watchFor(worker, begins, ends);
    if (first.ok) return { ok: true, text: `${days} days without events, seed ${seed}: ${first.text}` };
    // A leak continues, but an odd event does not repeat. A list grows its capacity by half each
    // time, so its growth can fall between two measures; the second run is long enough to contain a
    // growth step.
    [begins, ends] = [days, 2.5 * days];
    const again = await watchFor(worker, begins, ends);
    const text = [first, again].map((part) => part.text).join('\n  once more: ');
    return { ok: again.ok, text: `${days} days without events, seed ${seed}: ${text}` };
  } finally {
    await worker.terminate();
  }
}

async function liveUntil(worker: Worker, day: number): Promise<IdleSample> {
  worker.postMessage(day);
  const [sample] = (await once(worker, 'message')) as [IdleSample];
  return sample;
}

async function watchFor(worker: Worker, begins: number, ends: number): Promise<IdleResult> {
  const measures: Measure[] = [];
  const censuses: HeapHistogram[] = [];
  for (let window = 0; window <= windows; window++) {
    const day = begins + (window / windows) * (ends - begins);
    const sample = await liveUntil(worker, day);
    const census = await readHeapHistogram(await worker.getHeapSnapshot());
    censuses.push(census);
    measures.push({ ...sample, day, bytes: bytesOf(census) });
  }
  return judge(measures, whatGrew(censuses[0]!, censuses.at(-1)!, 5));
}

function judge(measures: readonly Measure[], grown: readonly string[]): IdleResult {
  const [early, late] = [measures[0]!, measures.at(-1)!];
  const growth = (of: (each: Measure) => number) => growthBetween(measures, of);
  const bytes = growth((each) => each.bytes);
  const lines = (late.lines - early.lines) / (late.day - early.day);
  const faults = [
    ...(late.fault === undefined ? [] : [late.fault]),
    ...(bytes <= maxGrowthBytes ? [] : ['memory grows']),
    ...(growth(({ timers }) => timers) <= 0 ? [] : ['timers pile up']),
    ...(growth(({ handles }) => handles) <= 0 ? [] : ['open handles pile up']),
    ...(growth(({ diskBytes }) => diskBytes) <= maxGrowthBytes ? [] : ['files grow']),
    ...(lines <= maxLinesPerDay ? [] : ['the log is too long']),
  ];
  const kilo = (value: number) => (value / 1000).toFixed(1);
  const text = [
    `${faults.length === 0 ? 'nothing grows' : `FAILED: ${faults.join(', ')}`} (${late.calls} calls)`,
    `  held: ${measures.map((each) => kilo(each.bytes)).join(' ')} kB: ${kilo(bytes)} kB more (may be ${kilo(maxGrowthBytes)})`,
    `  timers: ${measures.map(({ timers }) => timers).join(' ')}; open handles: ${measures.map(({ handles }) => handles).join(' ')}`,
    `  lines of log: ${late.lines}, ${lines.toFixed(2)} per day (may be ${maxLinesPerDay}); files: ${kilo(late.diskBytes)} kB`,
    ...(faults.length === 0 ? [] : grown.map((line) => `  ${line}`)),
  ];
  return { ok: faults.length === 0, text: text.join('\n') };
}

/**
 * Compares the highest of the first measures with the lowest of the last, so that a single odd
 * measure is no growth.
 */
function growthBetween(measures: readonly Measure[], of: (each: Measure) => number): number {
  return Math.min(...measures.slice(-alike).map(of)) - Math.max(...measures.slice(0, alike).map(of));
}
