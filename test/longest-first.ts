// The order of the test files: the longest ones first, so that none of them runs alone at the end.
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * By time, as the last lines of a run name them. Vitest itself orders by the last run, which a
 * fresh clone does not have.
 */
const longest = ['test/boot/boot.nspawn.test.ts'];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const gone = longest.find((file) => !existsSync(file));
    if (gone !== undefined) throw new Error(`test/longest-first.ts names ${gone}, which does not exist`);
    const rank = ({ moduleId }: TestSpecification) => {
      const at = longest.indexOf(relative(process.cwd(), moduleId));
      return at === -1 ? longest.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
