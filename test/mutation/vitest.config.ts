// The tests that StrykerJS runs. The table of faults reaches nearly every mutation and is slow, so
// scripts/mutate.ts asks it only about survivors. One excluded file compares the text of a source,
// which StrykerJS changes. The others change the user or the umask of the process, which a thread
// of StrykerJS cannot.
import { defineConfig } from 'vitest/config';
import { missingSuites } from '../needs.ts';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts'],
    exclude: [
      'test/unit/faults/**',
      'test/unit/host/aws/fault.test.ts',
      'test/unit/host/{files,processes}.test.ts',
      ...missingSuites().map(({ file }) => file),
    ],
    testTimeout: 300_000,
  },
});
