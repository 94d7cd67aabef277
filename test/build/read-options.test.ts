import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const run = (...words: string[]) => spawnSync(process.execPath, ['scripts/build.ts', ...words], { encoding: 'utf8' });

test('a script prints its usage for --help', () => {
  const { status, stdout, stderr } = run('--help');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^`npm run build`: .*\n\n {2}npm run build {15}dist\/ecs-node for this machine/);
});

test('a script names an unknown option with its usage, without a stack', () => {
  const { status, stderr } = run('--hots');
  expect(status).toBe(64);
  expect(stderr).toMatch(/^Unknown option '--hots'\n\n`npm run build`: /);
});
