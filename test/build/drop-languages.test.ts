/**
 * Node.js without other languages: smaller when packed, and equal in everything that the program
 * uses.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dropLanguages } from '../../scripts/binary/drop-languages.ts';

const whole = readFileSync(process.execPath);
const reduced = dropLanguages(whole);
const folder = mkdtempSync(join(tmpdir(), 'ecs-node-languages-'));
const file = join(folder, 'node');
beforeAll(() => writeFileSync(file, reduced, { mode: 0o755 }));
afterAll(() => rmSync(folder, { recursive: true }));

function evaluate(node: string, script: string, locale = 'C'): string {
  const env = { LC_ALL: locale, TZ: 'UTC' };
  return execFileSync(node, ['-p', script], { encoding: 'utf8', env });
}

test('nothing moves, and at least 15 MB become zeros', () => {
  expect(reduced.length).toBe(whole.length);
  const step = 101;
  let emptied = 0;
  for (let at = 0; at < whole.length; at += step) if (whole[at] !== 0 && reduced[at] === 0) emptied += step;
  expect(emptied).toBeGreaterThan(15e6);
});

const scripts = {
  'character sets': `['shift_jis', 'gb18030', 'euc-kr', 'windows-1252', 'koi8-r', 'utf-16le'].map((name) =>
    new TextDecoder(name).decode(Buffer.from([0xb1, 0xe9, 0xc4, 0xe3])))`,
  'the order of texts': `['i-0b', 'ä', 'Z', 'i-0A', 'a', '你'].toSorted((a, b) => a.localeCompare(b))`,
  'cases, normal forms and properties': `['İ'.toLocaleLowerCase('tr'), 'ß'.toUpperCase(), 'é'.normalize('NFD'),
    /\\p{Script=Han}/u.test('你'), 'a\\u200eb'.replace(/\\p{Cf}/gu, '')]`,
  'host names': `[new URL('https://bücher.example').host, require('url').domainToUnicode('xn--bcher-kva.example')]`,
  'English dates and numbers': `[new Date(0).toLocaleString('en', { timeZone: 'Europe/Berlin', weekday: 'short' }),
    (1234.5).toLocaleString('en'), String(new Date(0))]`,
};

test.each(Object.entries(scripts))('as before: %s', (_, script) => {
  expect(evaluate(file, script)).toBe(evaluate(process.execPath, script));
});

test.each(['de_DE.UTF-8', 'zh_TW.UTF-8', 'ar_EG', 'nonsense'])('a user of %s has a working program', (locale) => {
  const script = `[new Date(0).toISOString(), ['b', 'a'].toSorted((a, b) => a.localeCompare(b)).join(), new Date(0).toLocaleDateString('ja') !== '']`;
  expect(evaluate(file, script, locale)).toBe("[ '1970-01-01T00:00:00.000Z', 'a,b', true ]\n");
});

test('a program with other data is refused', () => {
  const header = Buffer.alloc(64);
  header.writeUInt32LE(0x27da_0020);
  header.write('CmnD', 12);
  header.writeUInt32LE(1, 32);
  expect(() => dropLanguages(Buffer.alloc(64))).toThrow('holds 0 packages');
  expect(() => dropLanguages(Buffer.concat([header, header]))).toThrow('holds 2 packages');
  expect(() => dropLanguages(header)).toThrow('unknown layout');
});

test('dropping twice changes nothing more', () => {
  expect(dropLanguages(reduced).equals(reduced)).toBe(true);
});
