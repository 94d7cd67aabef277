import { expect, test } from 'vitest';
import { closestMatch } from '../../../core/closest-match.ts';

const known = ['stay', 'status', 'Hostname', 'name'];

test.each([
  ['STAY', 'stay'],
  ['hostname', 'Hostname'],
  ['nmae', 'name'],
  ['hsotnmae', 'Hostname'],
  ['sta', 'stay'],
  ['stat', 'stay'],
  ['stats', 'status'],
  ['hos', 'Hostname'],
  ['ho', undefined],
  ['nam', 'name'],
  ['nm', undefined],
  ['hstnm', undefined],
  ['x', undefined],
  // Half of a swap of neighbours.
  ['txay', undefined],
])('%s is meant to be %s', (word, expected) => {
  expect(closestMatch(word, known)).toBe(expected);
});

test('a word of more than 64 letters is no slip, however close it is', () => {
  expect(closestMatch('a'.repeat(63) + 'b', ['a'.repeat(64)])).toBe('a'.repeat(64));
  expect(closestMatch('a'.repeat(64) + 'b', ['a'.repeat(64)])).toBeUndefined();
  expect(closestMatch('a'.repeat(63) + 'b', ['a'.repeat(65)])).toBeUndefined();
});
