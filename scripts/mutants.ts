// node scripts/mutants.ts [--only NAME]… [--seeds N]: plants each fault of test/simulation/mutants in a copy of the tree, and
// tells who finds it: the simulation within a fixed number of lives, or days in which nothing happens, or else the unit tests.
// Exit code 1 when one is not found.

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { only: { type: 'string', multiple: true }, seeds: { type: 'string', default: '150' } },
});

const root = join(import.meta.dirname, '..');
const folder = join(root, 'test/simulation/mutants');
const firstSeed = 1;

/** What the simulation and the unit tests need. */
const copied = [
  'agent',
  'bootstrap',
  'commands',
  'core',
  'host',
  'scripts',
  'fleet',
  'upkeep',
  'test/unit',
  'test/fakes',
  'test/simulation',
];
const files = [
  'main.ts',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
  'test/needs.ts',
  'test/count-reporter.ts',
  'test/binary.ts',
];

/** An endless loop is found, too. */
const simulationMs = 180_000;
const unitMs = 240_000;

interface Run {
  code: number;
  output: string;
}

function run(file: string, args: string[], cwd: string, timeout: number): Promise<Run> {
  return new Promise((resolve) => {
    const options = {
      cwd,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
      timeout,
      killSignal: 'SIGKILL' as const,
      maxBuffer: 64 * 1024 * 1024,
    };
    execFile(file, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, output: `${stdout}\n${stderr}` });
    });
  });
}

/** Once: what others write meanwhile must not be taken for a planted fault. */
async function copyTree(): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'ecs-node-mutant-'));
  await mkdir(join(tree, 'test'));
  for (const path of [...copied, ...files]) await cp(join(root, path), join(tree, path), { recursive: true });
  await symlink(join(root, 'node_modules'), join(tree, 'node_modules'));
  return tree;
}

/** Who found it, and how; undefined: nobody did. */
async function hunt(tree: string): Promise<string | undefined> {
  const args = ['scripts/simulate.ts', '--seed', String(firstSeed), '--seeds', values.seeds, '--lines', '1', '--stop'];
  const simulation = await run(process.execPath, args, tree, simulationMs);
  if (simulation.code === -1) return 'simulation: does not end';
  const [, seed, invariant] = /FAILED {2}seed (\d+): (.*)/.exec(simulation.output) ?? [];
  if (seed !== undefined) return `simulation: seed ${seed}, ${invariant}`;
  if (simulation.code !== 0) return `simulation: ${simulation.output.trim().split('\n').at(-1)}`;
  const boredom = await run(process.execPath, ['scripts/simulate.ts', '--days', '4'], tree, simulationMs);
  if (boredom.code !== 0) return `boredom: ${/FAILED: (.*?) \(/.exec(boredom.output)?.[1] ?? 'does not end'}`;
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const unitArgs = [
    vitest,
    'run',
    '--project',
    'source',
    '--bail',
    '1',
    'test/unit/agent',
    'test/unit/bootstrap',
    'test/unit/commands',
    'test/unit/core',
  ];
  const unit = await run(process.execPath, unitArgs, tree, unitMs);
  if (unit.code === 0) return undefined;
  const [, title] = /FAIL.*?> (.*)/.exec(unit.output) ?? [];
  return `unit test: ${title ?? 'does not end'}`;
}

async function tryMutant(patch: string, tree: string): Promise<{ isFound: boolean; line: string }> {
  const input = join(tree, 'test/simulation/mutants', patch);
  const [why = ''] = (await readFile(input, 'utf8')).split('\n');
  const name = patch.replace(/\.patch$/, '').padEnd(36);
  const apply = (...how: string[]) => run('patch', ['-p1', '--batch', '--input', input, ...how], tree, 10_000);
  const applied = await apply('--dry-run');
  if (applied.code !== 0) {
    return { isFound: false, line: `${name} DOES NOT APPLY: ${applied.output.trim().split('\n').at(-1)}` };
  }
  await apply();
  const finder = await hunt(tree);
  await apply('--reverse');
  return { isFound: finder !== undefined, line: `${name} ${finder ?? 'NOT FOUND'}\n    ${why}` };
}

const patches = (await readdir(folder)).filter((name) => name.endsWith('.patch')).toSorted();
const chosen =
  values.only === undefined ? patches : patches.filter((name) => values.only?.includes(name.replace(/\.patch$/, '')));

const tree = await copyTree();
try {
  // A tree that fails without a planted fault would find every one of them.
  const early = await hunt(tree);
  if (early !== undefined) throw new Error(`without a planted fault something is found already: ${early}`);
  let found = 0;
  for (const patch of chosen) {
    const { isFound, line } = await tryMutant(patch, tree);
    if (isFound) found += 1;
    console.log(line);
  }
  console.log(`${found} of ${chosen.length} planted faults found`);
  process.exitCode = found === chosen.length ? 0 : 1;
} finally {
  await rm(tree, { recursive: true, force: true });
}
