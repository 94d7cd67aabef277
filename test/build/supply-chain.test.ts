/**
 * A hash fixes each file that the build and CI download. None of them runs code of its own while it
 * is installed.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const ci = readFileSync('.ci/run', 'utf8');
const wanted = lines('.ci/requirements.in').filter((line) => !line.startsWith('#'));
const locked = readFileSync('.ci/requirements.txt', 'utf8')
  .replaceAll(/^#.*$/gm, '')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .map((line) => line.trim())
  .filter((line) => line !== '');

function lines(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
}

test('every Python package that CI installs has one version and its hashes', () => {
  expect(locked.length).toBeGreaterThan(wanted.length);
  for (const line of locked) expect(line).toMatch(/^[A-Za-z0-9._-]+==\S+( ; [^;]+?)?(\s+--hash=sha256:[0-9a-f]{64})+$/);
  expect(ci).toMatch(/pip" install .*--require-hashes .*--requirement \.ci\/requirements\.txt/);
});

test('the hashed list holds each package of requirements.in, in its version', () => {
  const found = new Set(locked.map((line) => line.split(/\s/)[0]!.toLowerCase()));
  for (const line of wanted) expect(found).toContain(line.replace(/\[.*\]/, '').toLowerCase());
});

test('npm runs no script of a package that it installs', () => {
  const value = execFileSync('npm', ['config', 'get', 'ignore-scripts'], { encoding: 'utf8' });
  expect(value.trim()).toBe('true');
});

test('each npm package has its hash', () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { integrity?: string; link?: true }>;
  };
  const bare = Object.entries(packages).filter(([name, { integrity }]) => name !== '' && integrity === undefined);
  expect(bare.map(([name]) => name)).toEqual([]);
});
