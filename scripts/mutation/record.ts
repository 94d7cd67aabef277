// Stores what a run of random mutations finds, as it comes. A run that was broken off goes on with
// the next one that has the same arguments and the same code.

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mutation } from './random.ts';
import type { Outcome } from './random-report.ts';
import { root, run } from './run.ts';

export interface Entry {
  mutation: Mutation;
  /** As StrykerJS calls it. */
  status: string;
  /** Null if nothing found it. Missing while nothing but StrykerJS was asked. */
  foundBy?: Outcome['foundBy'] | null;
}

export async function pathOfRecord(args: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(args.join(' '));
  for (const what of [
    ['rev-parse', 'HEAD'],
    ['diff', 'HEAD'],
  ])
    hash.update((await run('git', what, root, 10_000)).output);
  const folder = join(root, 'reports/mutation');
  mkdirSync(folder, { recursive: true });
  return join(folder, `${hash.digest('hex').slice(0, 12)}.jsonl`);
}

/** The newest entry of each mutation. */
export async function readRecord(path: string): Promise<Entry[]> {
  if (!existsSync(path)) return [];
  const lines = (await readFile(path, 'utf8')).trim().split('\n');
  const entries = lines.map((line) => JSON.parse(line) as Entry);
  return [...new Map(entries.map((entry) => [JSON.stringify(entry.mutation), entry])).values()];
}

export function addToRecord(path: string, entry: Entry): void {
  appendFileSync(path, `${JSON.stringify(entry)}\n`);
}
