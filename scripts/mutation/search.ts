// The ways in which a fault that is planted in a copy of the tree can be found.

import { lastLine, run } from './run.ts';

/** Searches the fault in a tree. `find` resolves with the finding, or undefined. */
export interface Search {
  side: 'life' | 'test';
  find(tree: string): Promise<Finding | undefined>;
}

export interface Finding {
  what: string;
  /** Searches again only where this was found. It must find nothing in a tree without the fault. */
  control: Search;
}

/** Many times the usual duration on a busy machine, so that an endless loop counts as found. */
const simulationMs = 600_000;
const unitMs = 900_000;
const oneTestMs = 120_000;

const firstSeed = 1;

/** The first `count` lives from seed 1. */
export function lives(count: number): Search {
  const args = ['--seed', String(firstSeed), '--seeds', String(count), '--lines', '1', '--stop'];
  return {
    side: 'life',
    async find(tree) {
      const { code, output, hangs } = await simulate(tree, args);
      const [, text, invariant] = /FAILED {2}seed (\d+): (.*)/.exec(output) ?? [];
      const seed = text === undefined ? undefined : Number(text) - firstSeed + 1;
      const control = lives(seed ?? count);
      if (hangs) return { what: 'a life does not end', control };
      if (seed !== undefined) return { what: `life ${seed}: ${invariant}`, control };
      return code === 0 ? undefined : { what: lastLine(output), control };
    },
  };
}

const daysPrefix = 'days in which nothing happens';

export const idleDays: Search = {
  side: 'life',
  async find(tree) {
    const { code, output, hangs } = await simulate(tree, ['--days', '4']);
    if (hangs) return { what: `${daysPrefix} do not end`, control: idleDays };
    if (code === 0) return undefined;
    return { what: `${daysPrefix}: ${/FAILED: (.*?) \(/.exec(output)?.[1] ?? lastLine(output)}`, control: idleDays };
  },
};

function simulate(tree: string, args: readonly string[]) {
  return run(process.execPath, ['scripts/simulate.ts', ...args], tree, simulationMs);
}

/** `paths`: folders and files of unit tests. `title`: of the only test to run. */
export function unitTests(paths: readonly string[], title?: string): Search {
  return {
    side: 'test',
    async find(tree) {
      const testPaths = paths.map((name) => `test/unit/${name}`);
      // A file that was renamed finds nothing.
      const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'source', '--bail', '1', '--passWithNoTests'];
      args.push(...testPaths);
      if (title !== undefined) args.push('--testNamePattern', title);
      const runTests = async () => {
        const done = await run(process.execPath, args, tree, title === undefined ? unitMs : oneTestMs);
        return { ...done, failed: /FAIL.*?test\/unit\/(\S+) > (.*)/.exec(done.output) ?? [] };
      };
      const first = await runTests();
      if (first.code === 0) return undefined;
      // On a busy machine, a worker of vitest may not start in time. Such a run names no test.
      const again = first.failed.length === 0 && !first.hangs ? await runTests() : first;
      const { code, output, hangs, failed } = again;
      if (code === 0) return undefined;
      const [, file, name] = failed;
      if (file !== undefined) return { what: `${file}: ${name}`, control: unitTests([file]) };
      return { what: hangs ? 'the tests do not end' : lastLine(output), control: unitTests(paths) };
    },
  };
}

/**
 * Searches where a row of the table says that the fault was found: first by that test alone, then
 * by its whole file, since a test may have another title by now.
 */
export function searchAgain(found: { test?: string; life?: string }): Search[] {
  const [, file, name] = /^(\S+\.test\.ts): (.*)$/.exec(found.test ?? '') ?? [];
  if (file !== undefined && name !== undefined) return [unitTests([file], patternOf(name)), unitTests([file])];
  const [, seed] = /^life (\d+): /.exec(found.life ?? '') ?? [];
  if (seed !== undefined) return [lives(Number(seed))];
  return found.life?.startsWith(daysPrefix) === true ? [idleDays] : [];
}

/** Vitest prints the titles of a test with arrows, and matches them with spaces. */
function patternOf(name: string): string {
  return `${name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(' > ', ' ')}$`;
}
