// npm run mutants -- [--first] [--known] [--lives N] [--write] [--rest] [NAME…]: plants each fault
// of test/simulation/mutants, or only the named ones, in a copy of the tree, and prints which test
// finds it.
//
// It begins where the fault was found last time, then runs the unit tests beside the patched files,
// those of their rooms, and the simulation with N lives. If neither finds the fault, it runs all
// unit tests and days without events.
//
// It prints each result at once, and a table of all at the end. The exit code is 1 if a fault was
// not found. --first stops at the first finding. --known searches a fault that has a row only where
// it was found last time, in seconds instead of minutes. --write stores each row in
// test/simulation/mutants/README.md. --rest runs only faults without a row there. --check runs
// nothing: it lists the faults that cannot be planted in the code of today, in two seconds.

import { rmSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  isFound,
  keepResults,
  parseTable,
  renderLine,
  renderTable,
  renderConclusion,
  type Result,
} from './mutation/planted-report.ts';
import { copyTree, lastLine, root, run } from './mutation/run.ts';
import { idleDays, lives, searchAgain, unitTests, type Finding, type Search } from './mutation/search.ts';
import { openProgress } from './progress.ts';
import { readOptions } from './read-options.ts';

const { values, positionals } = readOptions(import.meta.filename, {
  allowPositionals: true,
  options: {
    check: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    known: { type: 'boolean', default: false },
    lives: { type: 'string', default: '150' },
    rest: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});

const folder = join(root, 'test/simulation/mutants');
const report = join(folder, 'README.md');

const unitFolders = ['agent', 'bootstrap', 'cli', 'commands', 'config', 'core', 'faults', 'fleet', 'host', 'upkeep'];

/** The unit tests in the folders or with the names of the patched files. */
async function testsBeside(tree: string, patched: readonly string[]): Promise<readonly string[]> {
  const tests = await readdir(join(tree, 'test/unit'), { recursive: true });
  return patched.flatMap((path) => {
    const [room = ''] = path.split('/');
    const folder = dirname(path);
    if (folder !== room && tests.includes(folder)) return [folder];
    return tests.filter((test) => test.startsWith(`${room}/`) && basename(test).startsWith(basename(path, '.ts')));
  });
}

/** `near`: the folders of unit tests of the patched rooms. `beside`: the tests to begin with. */
async function search(
  tree: string,
  { beside: first, near }: { beside: readonly string[]; near: readonly string[] },
  last: Result['found'],
): Promise<Finding[]> {
  const again = [...searchAgain(last), ...(first.length === 0 ? [] : [unitTests(first)])];
  const [tests, simulation] = [unitTests(near), lives(Number(values.lives))];
  const all = again[0]?.side === 'life' ? [...again, simulation, tests] : [...again, tests, simulation];
  const isKnown = values.known && Object.keys(last).length > 0;
  const found: Finding[] = [];
  for (const each of isKnown ? again : all) {
    if (found.some(({ control }) => control.side === each.side)) continue;
    const finding = await each.find(tree);
    if (finding !== undefined) found.push(finding);
    if (finding !== undefined && values.first) break;
  }
  if (found.length > 0 || isKnown) return found;
  const far = unitFolders.filter((name) => !near.includes(name));
  const finding = (await idleDays.find(tree)) ?? (far.length === 0 ? undefined : await unitTests(far).find(tree));
  return finding === undefined ? [] : [finding];
}

const controlled = new Set<string>();

/** A test that fails without a planted fault, too, would seem to find every fault. */
async function checkControl(tree: string, { what, control }: Finding): Promise<void> {
  const key = control.side === 'test' ? (what.split(': ')[0] ?? '') : what;
  if (controlled.has(key)) return;
  const early = await control.find(tree);
  if (early !== undefined) throw new Error(`this fails without a planted fault, too: ${early.what}`);
  controlled.add(key);
}

function render(findings: readonly Finding[]): Result['found'] {
  return Object.fromEntries(
    findings.map(({ what, control }: Finding): [Search['side'], string] => [control.side, what]),
  );
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
  const patched = [...text.matchAll(/^\+\+\+ b\/(\S+)/gm)].map(([, path = '']) => path);
  const originals = await Promise.all(patched.map((path) => readFile(join(tree, path))));
  await apply();
  const near = unitFolders.filter((each) => patched.some((path) => path.startsWith(`${each}/`)));
  const beside = await testsBeside(tree, patched);
  const findings = await search(tree, { beside, near }, known.find((row) => row.name === name)?.found ?? {});
  // `patch --reverse` may put a line back at another place whose surroundings look the same.
  for (const [i, path] of patched.entries()) await writeFile(join(tree, path), originals[i]!);
  for (const finding of findings) await checkControl(tree, finding);
  return { name, fault, found: render(findings) };
}

function choose(all: readonly string[]): readonly string[] {
  const unknown = positionals.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`test/simulation/mutants has no fault ${unknown.join(', ')}`);
  const done = values.rest ? known.map(({ name }) => name) : [];
  return all.filter((name) => !done.includes(name) && (positionals.length === 0 || positionals.includes(name)));
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
const progress = openProgress({ name: 'mutants', total: chosen.length });
const results: Result[] = [];
for (const name of chosen) {
  progress.at(name, results.length);
  const result = await tryMutant(name, tree);
  results.push(result);
  progress.clear();
  console.log(renderLine(result));
  if (values.write) await keepResults(report, [result], names);
}
console.log(`\n${renderTable(results)}\n\n${renderConclusion(results)}`);
process.exitCode = results.every(isFound) ? 0 : 1;
