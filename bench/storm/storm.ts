/**
 * `npm run bench -- storm`: thousands of nodes at once against the limits of AWS, in virtual time.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import type { BenchOptions, Tables } from '../part.ts';
import { acts, type Act } from './acts.ts';
import { performInChildProcess } from './child-process.ts';
import type { Pictures } from './report/pictures.ts';
import { tabulateLimits } from './report/tables.ts';

/** The fleets in bench/results. */
interface Fleet {
  nodes: number;
  /** Takes minutes of CPU time, so it runs only on request. */
  isLong?: true;
}

const thousands: readonly Fleet[] = [{ nodes: 1_000 }, { nodes: 10_000, isLong: true }];

/** Acts in a row: each continues where the act before ended. */
const plays: readonly { acts: readonly Act[]; fleets: readonly Fleet[] }[] = [
  { acts: ['launch', 'reclaim'], fleets: thousands },
  { acts: ['opsworks'], fleets: [{ nodes: 200 }, { nodes: 1_000, isLong: true }] },
  { acts: ['bad-image'], fleets: thousands },
];

/** Writes its pictures into bench/results/storm if `keep` is set, and otherwise into out/storm/. */
export async function measureStorm(circumstances: BenchOptions): Promise<Tables> {
  const { seed, keep, say, only } = circumstances;
  const unknown = only.find((name) => !acts.some((act) => act === name));
  if (unknown !== undefined) throw new Error(`no act "${unknown}"; there are ${acts.join(', ')}`);
  say(`seed ${seed}: the same seed gives the same storm`);
  const tables: Tables = { 'storm-limits': tabulateLimits() };
  const folder = new URL(keep ? '../results/storm/' : '../../out/storm/', import.meta.url);
  for (const { acts: all, fleets } of plays) {
    const some = all.filter((act) => only.length === 0 || only.includes(act));
    for (const nodes of some.length === 0 ? [] : sizesOf(some, fleets, circumstances)) {
      const { pictures, tables: more } = await performInChildProcess({ acts: some, nodes, seed }, say);
      for (const [section, rows] of Object.entries(more)) tables[`storm-${section}-${nodes}`] = rows;
      await keepPictures(pictures, nodes, folder);
    }
  }
  return tables;
}

function sizesOf(some: readonly Act[], fleets: readonly Fleet[], circumstances: BenchOptions): number[] {
  const { nodes: asked, keep, long, say } = circumstances;
  const what = some.join(', ');
  const untold = asked.find((nodes) => !fleets.some((fleet) => fleet.nodes === nodes));
  if (keep && untold !== undefined)
    throw new Error(`bench/results has no table for ${what} with ${untold} nodes: add --try`);
  if (asked.length > 0) return [...asked];
  const left = fleets.filter(({ isLong }) => isLong === true && !long);
  for (const { nodes } of left) say(`${what} with ${nodes} nodes is left out; add --long to run it`);
  return fleets.filter((fleet) => !left.includes(fleet)).map(({ nodes }) => nodes);
}

async function keepPictures(pictures: Pictures, nodes: number, folder: URL): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(pictures)) {
    await writeFile(new URL(`${name}-${nodes}.svg`, folder), text);
  }
}
