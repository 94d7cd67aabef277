// Ends a run with its slowest files, and one plain line that a program can read:
// "12 passed, 0 failed, 1 skipped".
import { normalize, relative, resolve } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';
import type { MissingSuite } from './needs.ts';

const mostSlow = 10;

/** `  31.4 s  test/unit/x.test.ts`, slowest first. */
export function renderSlowest(modules: readonly Pick<TestModule, 'moduleId' | 'diagnostic'>[], root: string): string[] {
  const took = modules.map((module) => {
    const { duration, collectDuration } = module.diagnostic();
    return { file: relative(root, module.moduleId), seconds: (duration + collectDuration) / 1000 };
  });
  return took
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, mostSlow)
    .map(({ file, seconds }) => `${seconds.toFixed(1).padStart(6)} s  ${file}`);
}

/** The suites of `missing` that a run asks for, given its words for files. */
export function askedFor(missing: readonly MissingSuite[], words: readonly string[]): readonly MissingSuite[] {
  if (words.length === 0) return missing;
  return missing.filter(({ file }) => words.some((word) => resolve(file).includes(normalize(word))));
}

export class CountReporter implements Reporter {
  readonly #missing: readonly MissingSuite[];
  /** A suite that cannot run is a failure in CI, and skipped elsewhere. */
  readonly #missingIs: 'failed' | 'skipped';

  constructor(missing: readonly MissingSuite[], inCi: boolean) {
    this.#missing = missing;
    this.#missingIs = inCi ? 'failed' : 'skipped';
  }

  onInit(): void {
    for (const { file, need, remedy } of this.#missing) {
      console.log(`${this.#missingIs}  ${file} needs ${need}: ${remedy}`);
    }
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
    count[this.#missingIs] += this.#missing.length;
    for (const module of modules) {
      // A file that could not be loaded has no tests that could fail.
      count.failed += module.errors().length;
      for (const test of module.children.allTests()) count[test.result().state] += 1;
    }
    // Prints on exit, so that this line is the last one.
    process.once('exit', (exitCode) => {
      // vitest can fail without a failed test, for example if it cannot build the binary.
      if (exitCode !== 0 && count.failed === 0) count.failed = 1;
      if (count.failed > 0) process.exitCode = 1;
      if (modules.length > 1) console.log(`the slowest files:\n${renderSlowest(modules, process.cwd()).join('\n')}`);
      console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped`);
    });
  }
}
