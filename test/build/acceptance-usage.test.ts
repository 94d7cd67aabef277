import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { usage } from '../../scripts/acceptance/options.ts';

const run = (...words: string[]) => promisify(execFile)(process.execPath, ['scripts/acceptance.ts', ...words]);

test('"npm run acceptance -- --help" prints the usage, and is no failure', async () => {
  expect(await run('--help')).toEqual({ stdout: `${usage}\n`, stderr: '' });
});

test('an unknown option is wrong usage: exit code 64, with the usage', async () => {
  await expect(run('--unknown')).rejects.toMatchObject({ code: 64, stderr: expect.stringContaining(usage) as string });
});
