import { expect, it } from 'vitest';
import { renderSlowest } from '../count-reporter.ts';

it('names the ten slowest files of a run, slowest first', () => {
  const modules = Array.from({ length: 12 }, (_, n) => ({
    moduleId: `/tree/test/${n}.test.ts`,
    diagnostic: () => ({ duration: n * 1_000, collectDuration: 500 }) as never,
  }));
  const lines = renderSlowest(modules, '/tree');
  expect(lines).toHaveLength(10);
  expect(lines[0]).toBe('  11.5 s  test/11.test.ts');
  expect(lines.at(-1)).toBe('   2.5 s  test/2.test.ts');
});
