/** Test files that share a process must leave it as they found it. */

import { existsSync, globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { sharedUnits } from '../shared-units.ts';

function linesOf(pattern: string, fault: RegExp): string[] {
  return globSync(pattern).flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => fault.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
}

test.each(sharedUnits)('the units of %s change nothing that a process shares', (folder) => {
  expect(existsSync(`test/unit/${folder}`)).toBe(true);
  const fault = /vi\.(mock|doMock|stub|useFake|setSystemTime)|process\.(env\b.* = |chdir|umask)|delete process\.env/;
  expect(linesOf(`test/unit/${folder}/**/*.ts`, fault)).toEqual([]);
});

test('the product keeps no state in the modules of these folders', () => {
  for (const folder of ['agent', 'bootstrap', 'cli', 'commands', 'config', 'core', 'fleet', 'iam', 'upkeep'])
    expect(linesOf(`${folder}/**/*.ts`, /^(export )?(let|var) |^const \w+ = new (Map|Set)(<[^>]*>)?\(\);/)).toEqual([]);
});
