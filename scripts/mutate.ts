// npm run mutate -- [--seed N] [--count N] [--lives N] [--write] [FILE…]: plants random mutations
// in agent, bootstrap, core and fleet, or only in the named files, one after the other. Do types,
// unit tests or simulated lives find each?
//
// StrykerJS makes the mutations and runs the unit tests that reach each. It is in test/mutation,
// with a lock file of its own: npm ci --prefix test/mutation. For each survivor, this script asks
// the table of faults and the simulation. What is found is stored at once: the same command on the
// same code goes on where a run was broken off. --write stores the survivors in
// test/mutation/README.md and keeps the reasons that stand there. The exit code is 1 if less than
// 90 % are found.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { copyTree, root } from './mutation/run.ts';
import { originalOf, plant, shorten, type Mutation } from './mutation/random.ts';
import { keepSurvivors, renderFolders, renderSummary, type Outcome } from './mutation/random-report.ts';
import { addToRecord, pathOfRecord, readRecord, type Entry } from './mutation/record.ts';
import { lives, unitTests } from './mutation/search.ts';
import { readOptions } from './read-options.ts';
import { slowOrAlone } from '../test/mutation/slow-or-alone.ts';

const { values, positionals } = readOptions(import.meta.filename, {
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '150' },
    lives: { type: 'string', default: '100' },
    write: { type: 'boolean', default: false },
  },
});

const stryker = join(root, 'test/mutation/node_modules/@stryker-mutator/core/bin/stryker.js');

async function runStryker(tree: string, record: string): Promise<void> {
  const args = [stryker, 'run', 'test/mutation/stryker.config.json'];
  if (positionals.length > 0) args.push('--mutate', positionals.join(','));
  const env = {
    ...process.env,
    MUTATION_TREE: tree,
    MUTATION_RECORD: record,
    MUTATION_SEED: values.seed,
    MUTATION_COUNT: values.count,
  };
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env });
  process.once('exit', () => child.kill());
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`Stryker ended with ${code}`);
}

const foundBy: Readonly<Record<string, Outcome['foundBy']>> = {
  CompileError: 'types',
  Killed: 'unit tests',
  Timeout: 'unit tests',
  RuntimeError: 'unit tests',
};

async function toOutcome(tree: string, entry: Entry): Promise<Outcome> {
  const { file, start, replacement } = entry.mutation;
  const source = await readFile(join(tree, file), 'utf8');
  return {
    file,
    line: start.line,
    before: shorten(originalOf(source, entry.mutation)),
    after: shorten(replacement),
    foundBy: entry.foundBy ?? foundBy[entry.status],
  };
}

/** A search that fails in any tree finds no mutation. */
async function control(tree: string): Promise<void> {
  const failure = (await lives(Number(values.lives)).find(tree)) ?? (await unitTests(slowOrAlone).find(tree));
  if (failure !== undefined) throw new Error(`this fails without a mutation, too: ${failure.what}`);
}

async function searchOn(tree: string, mutation: Mutation): Promise<Outcome['foundBy']> {
  const remove = await plant(tree, [mutation]);
  try {
    if ((await lives(Number(values.lives)).find(tree)) !== undefined) return 'simulated lives';
    return (await unitTests(slowOrAlone).find(tree)) === undefined ? undefined : 'unit tests';
  } finally {
    await remove();
  }
}

if (!existsSync(stryker)) throw new Error('StrykerJS is missing; run: npm ci --prefix test/mutation');
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
const tree = await copyTree();
process.once('exit', () => rmSync(tree, { recursive: true, force: true }));
const record = await pathOfRecord(process.argv.slice(2));
if ((await readRecord(record)).length < Number(values.count)) await runStryker(tree, record);
const outcomes: Outcome[] = [];
let isControlled = false;
for (const entry of await readRecord(record)) {
  const outcome = await toOutcome(tree, entry);
  outcomes.push(outcome);
  if (outcome.foundBy !== undefined) continue;
  if (entry.foundBy === undefined) {
    if (!isControlled) await control(tree);
    isControlled = true;
    outcome.foundBy = await searchOn(tree, entry.mutation);
    addToRecord(record, { ...entry, foundBy: outcome.foundBy ?? null });
  }
  const { file, line, before, after } = outcome;
  console.log(`${file}:${line}: ${before} → ${after}: ${outcome.foundBy ?? 'SURVIVES'}`);
}
console.log(`${renderSummary(outcomes)} (${renderFolders(outcomes)})`);
if (values.write) await keepSurvivors(join(root, 'test/mutation/README.md'), outcomes, values.seed);
process.exitCode = outcomes.filter((each) => each.foundBy !== undefined).length >= 0.9 * outcomes.length ? 0 : 1;
