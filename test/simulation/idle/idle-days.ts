/**
 * A node to which nothing happens for a long time: what it holds and what it writes must not grow.
 */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { IdleOptions, IdleSample } from './idle-node.ts';
import { bytesOf, whatGrew, readHeapHistogram, type HeapHistogram } from '../heap-histogram.ts';

/** The time that counts is cut into these. */
const windows = 9;

/** All code has run, and what is made once is made, before the first measure that counts. */
const warmUp = 2;

/**
 * So many of the first measures, and of the last ones, stand for each other's noise: the highest
 * and the lowest count.
 */
const alike = 3;

/**
 * From the first measures to the last. One slot of a list per check of a single watcher, the
 * smallest leak there is, is 30 kB in four days of a check per minute. Where nothing leaks it is
 * less than 4 kB, in four days as in a year.
 */
const maxGrowthBytes = 8_000;

/** A healthy node has nothing to tell. */
const maxLinesPerDay = 4;

export interface IdleResult {
  ok: boolean;
  text: string;
}

interface Measure extends IdleSample {
  day: number;
  bytes: number;
}

/** A life in a thread of its own, since all that the thread holds is measured. */
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
    if (first.ok) return { ok: true, text: `${days} days of boredom, seed ${seed}: ${first.text}` };
    // What leaks goes on leaking; what was odd does not happen again. A list takes half of its room
    // more at a time: from the first measures to the last it must have got so much longer, or its
    // growth falls between them.
    [begins, ends] = [days, 2.5 * days];
    const again = await watchFor(worker, begins, ends);
    const text = [first, again].map((part) => part.text).join('\n  once more: ');
    return { ok: again.ok, text: `${days} days of boredom, seed ${seed}: ${text}` };
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

/** From the highest of the first to the lowest of the last: what is odd once is no growth. */
function growthBetween(measures: readonly Measure[], of: (each: Measure) => number): number {
  return Math.min(...measures.slice(-alike).map(of)) - Math.max(...measures.slice(0, alike).map(of));
}
