// The tests that StrykerJS runs. The table of faults reaches nearly every mutation and is slow, so
// scripts/mutate.ts asks it only about survivors. The other excluded test compares the text of a
// source, which StrykerJS changes.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts'],
    exclude: ['test/unit/faults/**', 'test/unit/host/aws/fault.test.ts'],
    testTimeout: 60_000,
  },
});
