/** The tests, the benchmark and the release use the same bytes, wherever a commit is built. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, onTestFinished, test } from 'vitest';
import { ensureBinaries, targetFor } from '../../scripts/binary/ensure-binary.ts';
import { hostArchitecture } from '../../scripts/binary/node-binaries.ts';

const run = promisify(execFile);

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

test('a build of the same files in another folder has the bytes of the tested binary', async () => {
  await mkdir('out', { recursive: true });
  // Beside node_modules: its files are linked, not copied.
  const copy = await mkdtemp(join('out', 'another-'));
  onTestFinished(() => rm(copy, { recursive: true, force: true }));
  const { stdout: listed } = await run('git', ['ls-files', '-z'], { maxBuffer: 1 << 24 });
  for (const file of listed.split('\0').filter(Boolean)) {
    await mkdir(join(copy, dirname(file)), { recursive: true });
    // A file that is deleted but not yet committed is listed too.
    await copyFile(file, join(copy, file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
  // The binary names its commit.
  const { stdout: git } = await run('git', ['rev-parse', '--absolute-git-dir']);
  await writeFile(join(copy, '.git'), `gitdir: ${git}`);
  await run('cp', ['-al', 'node_modules', copy]);

  // Git must not note the copies as the repository's own files.
  const env = { ...process.env, GIT_OPTIONAL_LOCKS: '0' };
  await run(process.execPath, [resolve(copy, 'scripts/build.ts'), '--host', '--no-xz'], { cwd: copy, env });
  expect(await digest(join(copy, 'dist/ecs-node'))).toBe(await digest(inject('binary')));
});

test('the release packs the tested binary', async () => {
  const [built] = await ensureBinaries([targetFor(hostArchitecture())]);
  expect(built!.made).toBe(false);
  expect(resolve(built!.output)).toBe(inject('binary'));
});
