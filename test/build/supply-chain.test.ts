/**
 * A hash fixes each file that the build and CI download. None of them runs code of its own while it
 * is installed.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
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

const folders = execFileSync('git', ['ls-files', '*package.json'], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .map(dirname);

test.each(folders)('npm in the folder %s runs no script of an installed package', (cwd) => {
  const value = execFileSync('npm', ['config', 'get', 'ignore-scripts'], { encoding: 'utf8', cwd });
  expect(value.trim()).toBe('true');
});

interface Locked {
  integrity?: string;
  /** A part of the package that brings it. */
  inBundle?: true;
  optional?: true;
  engines?: { node?: string };
}

function packagesOf(lockfile: string): [string, Locked][] {
  const { packages } = JSON.parse(readFileSync(lockfile, 'utf8')) as { packages: Record<string, Locked> };
  return Object.entries(packages).filter(([name]) => name !== '');
}

test.each(folders.map((folder) => join(folder, 'package-lock.json')))('each npm package of %s has its hash', (file) => {
  const packages = packagesOf(file);
  expect(packages.length).toBeGreaterThan(10);
  expect(packages.filter(([, { integrity, inBundle }]) => integrity === undefined && !inBundle)).toEqual([]);
});

test('no npm package of the project warns of the oldest supported Node', () => {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
  const oldest = major(engines.node);
  const tooNew = packagesOf('package-lock.json').filter(
    ([, { optional, engines: wants }]) =>
      // npm leaves out an optional package that does not fit, without a word.
      !optional && !(wants?.node ?? '*').split('||').some((range) => major(range) <= oldest),
  );
  expect(tooNew).toEqual([]);
});

function major(range: string): number {
  return Number(/\d+/.exec(range)?.[0] ?? 0);
}

test('npm runs scripts with the pinned Node, also without a link to it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'npm-'));
  try {
    await mkdir(join(folder, 'scripts'));
    for (const file of ['.npmrc', 'scripts/npm-shell']) await copyFile(file, join(folder, file));
    const own = `node-linux-${process.arch}`;
    await mkdir(join(folder, 'node_modules'));
    await symlink(resolve('node_modules', own), join(folder, 'node_modules', own));
    await writeFile(join(folder, 'package.json'), JSON.stringify({ scripts: { which: 'command -v node' } }));
    const env = { HOME: process.env['HOME'], PATH: '/usr/local/bin:/usr/bin:/bin' };
    const found = execFileSync('npm', ['run', '--silent', 'which'], { cwd: folder, env, encoding: 'utf8' });
    expect(found.trim()).toBe(join(folder, 'node_modules', own, 'bin/node'));
  } finally {
    await rm(folder, { recursive: true });
  }
});
