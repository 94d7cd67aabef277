// The tests that StrykerJS runs.
import { relative } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { missingSuites } from '../needs.ts';
import { sharedUnits } from '../shared-units.ts';
import { slowOrAlone } from './slow-or-alone.ts';

const exclude = [...slowOrAlone.map((path) => `test/unit/${path}`), ...missingSuites().map(({ file }) => file)];
const shared = `test/unit/{${sharedUnits.join(',')}}/**/*.test.ts`;

/**
 * The tests near the mutated file first: one of them fails most often, and the first failure ends
 * the run. In the dry run, every file is mutated.
 */
class NearestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const [mutated = '', ...others] = this.ctx.config.related ?? [];
    if (others.length > 0) return files;
    const words = (path: string) => relative(process.cwd(), path).split(/[^a-z]+/);
    const wanted = words(mutated);
    const rank = ({ moduleId }: TestSpecification) => words(moduleId).filter((word) => wanted.includes(word)).length;
    return files.toSorted((a, b) => rank(b) - rank(a));
  }
}

export default defineConfig({
  test: {
    testTimeout: 300_000,
    sequence: { sequencer: NearestFirst },
    projects: [
      { extends: true, test: { name: 'source', include: ['test/unit/**/*.test.ts'], exclude: [...exclude, shared] } },
      {
        // A process for all of them: a process for each would load the AWS SDK for each mutation
        // and file, which takes longer than the tests.
        extends: true,
        test: {
          name: 'shared',
          include: [shared],
          exclude,
          isolate: false,
          restoreMocks: true,
          setupFiles: ['test/mutation/fresh-coverage.ts'],
        },
      },
    ],
  },
});
