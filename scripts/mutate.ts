// npm run mutate -- [--seed N] [--count N] [--lives N] [--write] [FILE…]: plants random mutations
// in agent, bootstrap, core and fleet, or only in the named files, one after the other. Do types,
// unit tests or simulated lives find each?
//
// StrykerJS makes the mutations and runs the unit tests that reach each. It is in test/mutation,
// with a lock file of its own: npm ci --prefix test/mutation. For each survivor, this script asks
// the table of faults and the simulation. --write stores the survivors in
// test/mutation/README.md and keeps the reasons that stand there. The exit code is 1 if less than
// 90 % are found.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { copyTree, root } from './mutation/run.ts';
import { originalOf, plant, shorten, type Mutation, type Position } from './mutation/random.ts';
import { keepSurvivors, renderSummary, type Outcome } from './mutation/random-report.ts';
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

/** As Stryker's report contains it (mutation-testing-report-schema). */
interface StrykerReport {
  files: Record<
    string,
    {
      source: string;
      mutants: {
        status: string;
        statusReason?: string;
        replacement: string;
        location: { start: Position; end: Position };
      }[];
    }
  >;
}

const stryker = join(root, 'test/mutation/node_modules/@stryker-mutator/core/bin/stryker.js');
const reportFile = join(root, 'reports/mutation/mutation.json');

async function runStryker(tree: string): Promise<StrykerReport> {
  const args = [stryker, 'run', 'test/mutation/stryker.config.json'];
  if (positionals.length > 0) args.push('--mutate', positionals.join(','));
  const env = { ...process.env, MUTATION_TREE: tree, MUTATION_SEED: values.seed, MUTATION_COUNT: values.count };
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env });
  process.once('exit', () => child.kill());
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`Stryker ended with ${code}`);
  return JSON.parse(await readFile(reportFile, 'utf8')) as StrykerReport;
}

/** The types-checker says this of mutations that this run leaves out. */
const isDrawn = ({ statusReason }: { statusReason?: string }) => statusReason !== 'not drawn';

const foundBy: Readonly<Record<string, Outcome['foundBy']>> = {
  CompileError: 'types',
  Killed: 'unit tests',
  Timeout: 'unit tests',
  RuntimeError: 'unit tests',
};

function readOutcomes({ files }: StrykerReport): (Outcome & { mutation: Mutation })[] {
  return Object.entries(files).flatMap(([file, { source, mutants }]) =>
    mutants.filter(isDrawn).map(({ status, replacement, location: { start, end } }) => {
      const mutation = { file, start, end, replacement };
      return {
        mutation,
        file,
        line: start.line,
        before: shorten(originalOf(source, mutation)),
        after: shorten(replacement),
        foundBy: foundBy[status],
      };
    }),
  );
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
const outcomes = readOutcomes(await runStryker(tree));
console.log(`after types and unit tests: ${renderSummary(outcomes)}`);
const early = (await lives(Number(values.lives)).find(tree)) ?? (await unitTests(slowOrAlone).find(tree));
if (early !== undefined) throw new Error(`this fails without a mutation, too: ${early.what}`);
for (const outcome of outcomes) {
  if (outcome.foundBy !== undefined) continue;
  outcome.foundBy = await searchOn(tree, outcome.mutation);
  const { file, line, before, after } = outcome;
  console.log(`${file}:${line}: ${before} → ${after}: ${outcome.foundBy ?? 'SURVIVES'}`);
}
console.log(renderSummary(outcomes));
if (values.write) await keepSurvivors(join(root, 'test/mutation/README.md'), outcomes, values.seed);
process.exitCode = outcomes.filter((each) => each.foundBy !== undefined).length >= 0.9 * outcomes.length ? 0 : 1;
