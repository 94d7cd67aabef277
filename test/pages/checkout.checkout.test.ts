/** The pages' commands in a checkout, as they stand there, in a fresh clone of the last commit. */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packerEnvironment } from '../packer/rig/tools.ts';
import { planned } from './plan.ts';

/** Each of them downloads, builds or packs. */
const patient = 600_000;
const run = promisify(execFile);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'checkout-'));
  await run('git', ['clone', '--quiet', process.cwd(), folder]);
  // The page's release takes minutes, and test/build/release.rpmbuild.test.ts makes one. "packer
  // validate" only wants its file.
  await mkdir(join(folder, 'dist/release'), { recursive: true });
  await writeFile(join(folder, 'dist/release/ecs-node-linux-x86_64.tar.xz'), '');
}, patient);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** As a person has them: the system's Node first, and none of the variables that npm sets. */
function environment(): Record<string, string> {
  const path = packerEnvironment()
    ['PATH']!.split(':')
    .filter((part) => !part.includes('node_modules'));
  return { ...packerEnvironment(), PATH: path.join(':') };
}

interface Result {
  command: string;
  text: string;
}

const results: Result[] = [];

test.each(planned('checkout'))(
  '$page: $command',
  async ({ command }) => {
    // `packer build` needs an AWS; test/packer/build.image.test.ts builds the image on moto.
    const text = command.replace('packer build', 'packer validate');
    const options = { cwd: folder, env: environment(), maxBuffer: 2 ** 26 };
    const { stdout, stderr } = await run('sh', ['-ec', text], options);
    expect(stderr).not.toMatch(/npm (warn|error)/i);
    results.push({ command, text: `${stdout}${stderr}` });
  },
  patient,
);

const printedBy = (part: string) => results.find(({ command }) => command.includes(part))!.text;

test('a life is played from launch to replacement', () => {
  expect(printedBy('npm start')).toContain('the instance is terminated');
});

test('the template of the image is valid with the flags of the page', () => {
  expect(printedBy('packer build')).toContain('The configuration is valid');
});
