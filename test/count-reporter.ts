// Ends a run with one plain line that a program can read: "12 passed, 0 failed, 1 skipped".
import type { Reporter, TestModule } from 'vitest/node';
import type { MissingSuite } from './needs.ts';

export class CountReporter implements Reporter {
  readonly #missing: MissingSuite[];
  /** In CI a suite that cannot run is a failure, elsewhere it is skipped. */
  readonly #missingIs: 'failed' | 'skipped';

  constructor(missing: MissingSuite[], inCi: boolean) {
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
    // On exit, so that nothing is printed after it.
    process.once('exit', (exitCode) => {
      // Such as a binary that could not be built: vitest fails without a test that did.
      if (exitCode !== 0 && count.failed === 0) count.failed = 1;
      if (count.failed > 0) process.exitCode = 1;
      console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped`);
    });
  }
}
