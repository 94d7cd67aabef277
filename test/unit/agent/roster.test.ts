import { expect, test } from 'vitest';
import { roster } from '../../../agent/watching/roster.ts';
import { configOf } from './stage.ts';

const namesOf = (purchase?: string) =>
  roster(configOf(), { ...(purchase !== undefined && { purchase }) }, () => true).map(({ name }) => name);

test('an instance that runs on demand is never asked whether EC2 takes it back: EC2 does not', () => {
  expect(namesOf('on-demand')).not.toContain('spot');
  expect(namesOf('on-demand')).not.toContain('rebalance');
  expect(namesOf('on-demand')).toEqual(expect.arrayContaining(['scale-in', 'operator', 'maintenance', 'disk']));
});

test.each(['spot', 'capacity-block', 'something-new', undefined])(
  'of what is bought as %s every notice is watched',
  (purchase) => {
    expect(namesOf(purchase)).toEqual(expect.arrayContaining(['spot', 'rebalance', 'scale-in']));
  },
);
