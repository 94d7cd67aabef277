import { expect, test } from 'vitest';
import { flag, listOf, marked, maybe, number, oneOf, recordOf, shaped, text, time } from '../../../core/shape.ts';

const named = shaped<{ name: string; age?: number }>({ name: text, age: maybe(number) });

const checks: [string, (value: unknown) => boolean, unknown[], unknown[]][] = [
  ['text', text, ['', 'a'], [1, undefined, null]],
  ['flag', flag, [true, false], ['true', 0, undefined]],
  ['number', number, [0, -1.5], [NaN, Infinity, '1']],
  ['time', time, [0, 8.64e15], [8.64e15 + 1, -8.65e15, NaN, '0']],
  ['marked', marked, [true, undefined], [false, 'true', null]],
  ['oneOf', oneOf(['a', 1]), ['a', 1], ['b', '1', undefined]],
  ['listOf', listOf(text), [[], ['a']], ['a', { 0: 'a', length: 1 }, [1], ['a', 1]]],
  ['recordOf', recordOf(text), [{}, { a: 'b' }], ['a', ['a'], null, { a: 'b', c: 1 }]],
  [
    'shaped',
    named,
    [{ name: 'a' }, { name: 'a', age: 1, more: {} }],
    [{}, { age: 1 }, { name: 'a', age: '1' }, [], null],
  ],
];

test.each(checks)('%s accepts its values, and no others', (_name, is, accepted, refused) => {
  expect(accepted.filter((value) => !is(value))).toEqual([]);
  expect(refused.filter((value) => is(value))).toEqual([]);
});

// A file of another program may name its fields so.
test('a field that every object inherits is no field of the value', () => {
  expect(shaped<{ toString?: string }>({ toString: maybe(text) })({})).toBe(true);
});
