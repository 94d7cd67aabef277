import { expect, it } from 'vitest';
import { askedFor, renderSlowest } from '../count-reporter.ts';

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

it('names a suite that cannot run when all suites or this one are asked for, and not beside other files', () => {
  const moto = { file: 'test/scenarios/events.moto.test.ts', need: 'moto', remedy: 'pip install moto' };
  const java = { file: 'test/boot/jvm.java.test.ts', need: 'java', remedy: 'apt-get install java' };
  expect(askedFor([moto, java], [])).toEqual([moto, java]);
  expect(askedFor([moto, java], ['./test/scenarios/events.moto.test.ts'])).toEqual([moto]);
  expect(askedFor([moto, java], ['java'])).toEqual([java]);
  expect(askedFor([moto, java], ['test/unit/agent/judge.test.ts'])).toEqual([]);
});
