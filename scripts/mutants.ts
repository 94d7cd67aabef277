// npm run mutants -- [--first] [--lives N] [--write] [--rest] [NAME…]: plants each fault of
// test/simulation/mutants, or only the named ones, in a copy of the tree, and prints which test
// finds it.
//
// It runs the unit tests beside the patched files, beginning with the file that found the fault
// last time, and the simulation with N lives. If neither finds the fault, it runs all unit tests
// and days without events.
//
// It prints each result at once, and a table of all at the end. The exit code is 1 if a fault was
// not found. --first stops at the first finding. --write stores each row in
// test/simulation/mutants/README.md. --rest runs only faults without a row there. --check runs
// nothing: it lists the faults that cannot be planted in the code of today, in two seconds.

import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { cp, mkdtemp, readFile, readdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  isFound,
  keepResults,
  parseTable,
  renderLine,
  renderTable,
  renderConclusion,
  type Result,
} from './mutants-report.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    check: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    lives: { type: 'string', default: '150' },
    rest: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});

const root = join(import.meta.dirname, '..');
const folder = join(root, 'test/simulation/mutants');
const report = join(folder, 'README.md');
const firstSeed = 1;

const unitFolders = ['agent', 'bootstrap', 'cli', 'commands', 'config', 'core', 'faults', 'fleet', 'host', 'upkeep'];

/** Ten times the usual duration, so that an endless loop counts as found. */
const simulationMs = 180_000;
const unitMs = 240_000;

interface Run {
  code: number;
  output: string;
  hangs: boolean;
}

/** Starts a process group, so that a hanging process ends together with its children. */
function run(file: string, args: string[], cwd: string, timeoutMs: number): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    });
    let output = '';
    let hangs = false;
    const kill = () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    const timer = setTimeout(() => {
      hangs = true;
      kill();
    }, timeoutMs);
    process.once('exit', kill);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      process.off('exit', kill);
      resolve({ code: code ?? -1, output, hangs });
    });
  });
}

/**
 * Copies the tree once: a change that someone makes meanwhile must not count as a planted fault.
 * Everything but what git ignores, because a list of what the tests read is soon out of date.
 */
async function copyTree(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'ecs-node-mutant-'));
  const listing = await run('git', ['ls-files', '-z', '-c', '-o', '--exclude-standard'], root, 10_000);
  if (listing.code !== 0) throw new Error(`git ls-files: ${lastLine(listing.output)}`);
  for (const path of listing.output.split('\0')) {
    // A file may be deleted and not committed yet.
    if (path !== '' && existsSync(join(root, path))) await cp(join(root, path), join(copy, path));
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** Searches the fault in a tree; resolves with the finding. */
type Hunter = (tree: string) => Promise<string | undefined>;

const simulated: Hunter = async (tree) => {
  const args = ['scripts/simulate.ts', '--seed', String(firstSeed), '--seeds', values.lives, '--lines', '1', '--stop'];
  const { code, output, hangs } = await run(process.execPath, args, tree, simulationMs);
  if (hangs) return 'a life does not end';
  const [, seed, invariant] = /FAILED {2}seed (\d+): (.*)/.exec(output) ?? [];
  if (seed !== undefined) return `life ${Number(seed) - firstSeed + 1}: ${invariant}`;
  return code === 0 ? undefined : lastLine(output);
};

const idle: Hunter = async (tree) => {
  const { code, output, hangs } = await run(
    process.execPath,
    ['scripts/simulate.ts', '--days', '4'],
    tree,
    simulationMs,
  );
  if (hangs) return 'days in which nothing happens do not end';
  return code === 0
    ? undefined
    : `days in which nothing happens: ${/FAILED: (.*?) \(/.exec(output)?.[1] ?? lastLine(output)}`;
};

/** `paths`: folders and files of unit tests. */
const tested =
  (paths: readonly string[]): Hunter =>
  async (tree) => {
    const testPaths = paths.map((name) => `test/unit/${name}`);
    const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'source', '--bail', '1', ...testPaths];
    const { code, output, hangs } = await run(process.execPath, args, tree, unitMs);
    if (code === 0) return undefined;
    const [, file, title] = /FAIL.*?test\/unit\/(\S+) > (.*)/.exec(output) ?? [];
    if (file !== undefined) return `${file}: ${title}`;
    return hangs ? 'the tests do not end' : lastLine(output);
  };

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) ?? '';
}

/**
 * `near`: the folders of the unit tests to run first. Before them comes `last`, the file that found
 * the fault last time.
 */
async function hunt(tree: string, near: readonly string[], last?: string): Promise<Result['found']> {
  const again = last === undefined ? undefined : await tested([last])(tree);
  const test = again ?? (await tested(near)(tree));
  if (test !== undefined && values.first) return { test };
  const life = await simulated(tree);
  if (test !== undefined || life !== undefined) return { ...(test && { test }), ...(life && { life }) };
  const days = await idle(tree);
  if (days !== undefined) return { life: days };
  const far = unitFolders.filter((name) => !near.includes(name));
  const other = far.length === 0 ? undefined : await tested(far)(tree);
  return other === undefined ? {} : { test: other };
}

async function tryMutant(name: string, tree: string): Promise<Result> {
  const input = join(tree, 'test/simulation/mutants', patches.get(name) ?? `${name}.patch`);
  const text = await readFile(input, 'utf8');
  const [fault = ''] = text.split('\n');
  const apply = (...how: string[]) =>
    run('patch', ['-p1', '--batch', '--no-backup-if-mismatch', '--input', input, ...how], tree, 10_000);
  // Without --forward, patch takes a fault that fits only backwards for one to remove.
  const applied = await apply('--dry-run', '--forward');
  if (applied.code !== 0) return { name, fault, found: {}, unplanted: lastLine(applied.output) };
  await apply();
  const touched = [...text.matchAll(/^\+\+\+ b\/(\w+)\//gm)].map(([, top = '']) => top);
  const near = unitFolders.filter((each) => touched.includes(each));
  const found = await hunt(tree, near, lastFinder(tree, name));
  await apply('--reverse');
  return { name, fault, found };
}

/** One file takes seconds; its folder takes half a minute. */
function lastFinder(tree: string, name: string): string | undefined {
  const file = known.find((row) => row.name === name)?.found.test?.split(': ')[0];
  return file !== undefined && existsSync(join(tree, 'test/unit', file)) ? file : undefined;
}

function choose(names: readonly string[]): readonly string[] {
  const unknown = positionals.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`test/simulation/mutants has no fault ${unknown.join(', ')}`);
  const done = values.rest ? known.map(({ name }) => name) : [];
  return names.filter((name) => !done.includes(name) && (positionals.length === 0 || positionals.includes(name)));
}

async function countUnplantable(of: readonly string[]): Promise<number> {
  let count = 0;
  for (const name of of) {
    const input = join(folder, patches.get(name) ?? '');
    const tried = await run('patch', ['-p1', '--batch', '--dry-run', '--forward', '--input', input], root, 10_000);
    if (tried.code === 0) continue;
    count += 1;
    console.log(`${name}: DOES NOT APPLY: ${lastLine(tried.output)}`);
  }
  console.log(`${of.length - count} of ${of.length} planted faults apply`);
  return count;
}

/** The patches are in folders by room, but the file name alone names a fault. */
const patches = new Map(
  (await readdir(folder, { recursive: true })).flatMap((path) =>
    path.endsWith('.patch') ? [[basename(path, '.patch'), path] as const] : [],
  ),
);
const names = [...patches.keys()].toSorted();
const known = parseTable(await readFile(report, 'utf8'));
const chosen = choose(names);
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
if (values.check) process.exit((await countUnplantable(chosen)) === 0 ? 0 : 1);
const tree = await copyTree();
process.once('exit', () => rmSync(tree, { recursive: true, force: true }));
// A tree that fails without a planted fault would seem to find every fault.
const early = await hunt(tree, unitFolders);
if (early.test !== undefined || early.life !== undefined)
  throw new Error(`the tests already fail without a planted fault: ${early.test ?? early.life}`);
const results: Result[] = [];
for (const name of chosen) {
  const result = await tryMutant(name, tree);
  results.push(result);
  console.log(renderLine(result));
  if (values.write) await keepResults(report, [result], names);
}
console.log(`\n${renderTable(results)}\n\n${renderConclusion(results)}`);
process.exitCode = results.every(isFound) ? 0 : 1;
