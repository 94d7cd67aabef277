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
