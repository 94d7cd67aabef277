// The tests that StrykerJS runs.
import { defineConfig } from 'vitest/config';
import { missingSuites } from '../needs.ts';
import { slowOrAlone } from './slow-or-alone.ts';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts'],
    exclude: [...slowOrAlone.map((path) => `test/unit/${path}`), ...missingSuites().map(({ file }) => file)],
    testTimeout: 300_000,
  },
});
