/** A release: the same bytes each time, complete, and signed in the way that install.sh checks. */

import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pack } from '../../scripts/lambda/zip.ts';
import { makeRelease } from '../../scripts/release/make.ts';
import { readSigningKey } from '../../scripts/release/sums.ts';
import { renderSbom } from '../../scripts/release/sbom.ts';

const run = promisify(execFile);
const pem = (modulusLength: number) =>
  generateKeyPairSync('rsa', { modulusLength }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

const secret = pem(3072);
let folder: string;
let first: string;
let second: string;

/** Each call uses other folders and another time. Neither may show in the result. */
async function release(name: string): Promise<string> {
  const work = join(folder, name, 'work');
  await mkdir(work, { recursive: true });
  const binaries = new Map<'x64' | 'arm64', string>();
  for (const architecture of ['x64', 'arm64'] as const) {
    const file = join(work, `binary-${architecture}`);
    await writeFile(file, `#!/bin/sh\necho ${architecture}\n`);
    binaries.set(architecture, file);
  }
  const out = join(folder, name, 'out');
  await makeRelease({
    folder: out,
    work,
    version: '1.2.3-rc.1',
    epochSeconds: 1_700_000_000,
    binaries,
    completions: { 'ecs-node.bash': 'bash\n', 'ecs-node.zsh': 'zsh\n', 'ecs-node.fish': 'fish\n' },
    sbom: '{}\n',
    lambdaZip: pack({ 'lambda.js': Buffer.from('exports.sweep = 0;') }),
    baseUrl: 'https://example.com/ecs-node/1.2.3',
    signingKey: await readSigningKey(secret),
  });
  return out;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'release-'));
  first = await release('first');
  second = await release('second');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('two builds have the same bytes, wherever and whenever they are made', async () => {
  const names = (await readdir(first)).toSorted();
  expect(names).toEqual([
    'SHA256SUMS',
    'SHA256SUMS.sig',
    'ecs-node-1.2.3~rc.1-1.aarch64.rpm',
    'ecs-node-1.2.3~rc.1-1.x86_64.rpm',
    'ecs-node-lambda.zip',
    'ecs-node-linux-arm64.tar.xz',
    'ecs-node-linux-x86_64.tar.xz',
    'ecs-node.cdx.json',
    'install.sh',
  ]);
  for (const name of names)
    expect([name, await digest(join(second, name))]).toEqual([name, await digest(join(first, name))]);
});

test('the archive installs, and the package holds the same files', async () => {
  const unpacked = join(folder, 'unpacked');
  const root = join(folder, 'root');
  await mkdir(unpacked);
  await run('tar', ['-xJf', join(first, 'ecs-node-linux-arm64.tar.xz'), '-C', unpacked]);
  await run(join(unpacked, 'install-files.sh'), ['--no-enable'], { env: { ...process.env, DESTDIR: root } });
  expect(await readFile(join(root, 'usr/bin/ecs-node'), 'utf8')).toContain('echo arm64');

  // install.sh compares the two.
  expect(await readFile(join(unpacked, 'VERSION'), 'utf8')).toBe('1.2.3-rc.1\n');
  expect(await readFile(join(first, 'install.sh'), 'utf8')).toContain("\nversion='1.2.3-rc.1'\n");

  const listed = await run('rpm', ['-qpl', join(first, 'ecs-node-1.2.3~rc.1-1.aarch64.rpm')]);
  const installed = (await readdir(root, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length));
  expect(listed.stdout.split('\n')).toEqual(expect.arrayContaining(installed));
});

test('both bring manual pages and completions to the folders of man and the shells', async () => {
  const root = join(folder, 'root');
  const text = (path: string) => readFile(join(root, path), 'utf8');
  expect(await text('usr/share/man/man8/ecs-node.8')).toBe(await readFile('docs/man/ecs-node.8', 'utf8'));
  expect(await text('usr/share/man/man5/ecs-node.yaml.5')).toBe(await readFile('docs/man/ecs-node.yaml.5', 'utf8'));
  expect(await text('usr/share/bash-completion/completions/ecs-node')).toBe('bash\n');
  expect(await text('usr/share/zsh/site-functions/_ecs-node')).toBe('zsh\n');
  expect(await text('usr/share/fish/vendor_completions.d/ecs-node.fish')).toBe('fish\n');
});

test('the package is for the architecture that its name says', async () => {
  const { stdout } = await run('rpm', [
    '-qp',
    '--qf',
    '%{ARCH} %{VERSION}',
    join(first, 'ecs-node-1.2.3~rc.1-1.aarch64.rpm'),
  ]);
  expect(stdout).toBe('aarch64 1.2.3~rc.1');
});

test('the checksums hold, and openssl accepts their signature with the key in install.sh', async () => {
  await run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: first });
  const script = await readFile(join(first, 'install.sh'), 'utf8');
  expect(script).not.toMatch(/@[A-Z_]+@'/);
  expect(script).toContain("ECS_NODE_RELEASE:-'https://example.com/ecs-node/1.2.3'");
  await writeFile(join(folder, 'key.pem'), /-----BEGIN PUBLIC KEY-----[^']*/.exec(script)![0]);
  const verify = ['dgst', '-sha256', '-verify', join(folder, 'key.pem'), '-signature', 'SHA256SUMS.sig'];
  await run('openssl', [...verify, 'SHA256SUMS'], { cwd: first });
  await expect(run('openssl', [...verify, 'install.sh'], { cwd: first })).rejects.toThrow(/openssl/);
});

test('a key that openssl cannot verify with, or that is too short, is refused before anything is built', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  await expect(readSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())).rejects.toThrow(/RSA/);
  await expect(readSigningKey(pem(2048))).rejects.toThrow(/3072/);
});

test('the bill of materials names each bundled package at its locked version, and nothing else', () => {
  const lock = {
    packages: {
      'node_modules/zod': { version: '4.0.0', license: 'MIT', integrity: 'sha512-AAAA' },
      'node_modules/@smithy/core': { version: '3.0.0' },
      'node_modules/a/node_modules/zod': { version: '3.0.0' },
      'node_modules/vitest': { version: '4.1.0' },
    },
  };
  const sources = [
    'main.ts',
    'node_modules/zod/index.js',
    'node_modules/zod/other.js',
    'node_modules/@smithy/core/dist/index.js',
    'node_modules/a/node_modules/zod/index.js',
  ];
  const made = { version: '1.0.0', epochSeconds: 1_700_000_000, sources, runtimes: [], lock };
  const document = JSON.parse(renderSbom(made)) as { components: { purl: string; 'bom-ref': string }[] };
  expect(document.components.map(({ purl }) => purl)).toEqual([
    'pkg:npm/%40smithy/core@3.0.0',
    'pkg:npm/zod@3.0.0',
    'pkg:npm/zod@4.0.0',
  ]);
  expect(new Set(document.components.map((each) => each['bom-ref'])).size).toBe(3);
  expect(() => renderSbom({ ...made, sources: ['node_modules/left-pad/index.js'] })).toThrow(/not in package-lock/);
});

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}
