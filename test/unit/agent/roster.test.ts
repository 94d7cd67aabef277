import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { roster } from '../../../agent/watching/roster.ts';
import { configOf } from './stage.ts';

const namesOf = (purchase?: string) =>
  roster(configOf(), { ...(purchase !== undefined && { purchase }) }, () => 'return').map(({ name }) => name);

test('an on-demand instance never asks for a spot notice', () => {
  expect(namesOf('on-demand')).not.toContain('spot');
  expect(namesOf('on-demand')).not.toContain('rebalance');
  expect(namesOf('on-demand')).toEqual(expect.arrayContaining(['scale-in', 'operator', 'maintenance', 'disk']));
});

test.each(['spot', 'capacity-block', 'something-new', undefined])(
  'an instance bought as %s watches every notice',
  (purchase) => {
    expect(namesOf(purchase)).toEqual(expect.arrayContaining(['spot', 'rebalance', 'scale-in']));
  },
);

// A forgotten line compiles, and the node then never asks.
test('every file of agent/watchers/ that makes a watcher stands in the roster', () => {
  const files = globSync('agent/watchers/*.ts').filter((file) => /: Watcher\b/.test(readFileSync(file, 'utf8')));
  expect(files.length).toBeGreaterThan(5);
  const listed = readFileSync('agent/watching/roster.ts', 'utf8');
  expect(files.filter((file) => !listed.includes(`'../watchers/${basename(file)}'`))).toEqual([]);
});
