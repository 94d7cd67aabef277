// Provides the Node executables for the binary: exactly those that package-lock.json pins,
// stripped, and in English only.
//
// npm installs only the package for this machine's architecture. This file fetches the other one
// with `npm pack` (from npm's own cache if possible), checks it against the lockfile, and keeps it
// beside the first.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { extract } from 'tar';
import { dropLanguages } from './drop-languages.ts';
import { stripElf } from './strip-elf.ts';

export type Architecture = 'x64' | 'arm64';

export const CACHE = join('node_modules', '.cache', 'ecs-node');
/**
 * pkg searches Node below its user's home. This home belongs to the build, so that pkg finds these
 * executables and never uses the network. Its name changes with what the build removes from them.
 */
export const PKG_HOME = join(CACHE, 'home-english');

interface Lockfile {
  packages: Record<string, { version: string; integrity: string } | undefined>;
}

export function hostArchitecture(): Architecture {
  if (process.arch === 'x64' || process.arch === 'arm64') return process.arch;
  throw new Error(`ecs-node is built on x64 or arm64, this machine is ${process.arch}`);
}

/** Returns the pinned version, which is the same for both architectures. */
export async function pinnedNodeVersion(): Promise<string> {
  const [x64, arm64] = [await pinned('x64'), await pinned('arm64')];
  if (x64.version !== arm64.version) throw new Error(`package-lock.json pins Node ${x64.version} and ${arm64.version}`);
  return x64.version;
}

/**
 * Puts the reduced executable where pkg expects a downloaded one, and returns its path. Does
 * nothing if it is there already.
 */
export async function provideNode(architecture: Architecture): Promise<string> {
  const release = `node-v${(await pinned(architecture)).version}-linux-${architecture}`;
  const folder = join(PKG_HOME, '.pkg-cache', 'sea');
  const executable = join(folder, release, 'bin', 'node');
  if (existsSync(executable)) return executable;
  await mkdir(folder, { recursive: true });
  // The folder gets its final name when it is complete: an interrupted build must not leave half an
  // executable.
  const work = await mkdtemp(join(folder, '.new-'));
  await mkdir(join(work, 'bin'));
  const whole = await readFile(await nodeExecutable(architecture, work));
  await writeFile(join(work, 'bin', 'node'), dropLanguages(stripElf(whole)), { mode: 0o755 });
  await writeFile(join(work, 'bin', 'node.ok'), '');
  for (const archive of [`${release}.tar.gz`, `${release}.tar.gz.ok`]) await writeFile(join(folder, archive), '');
  await rm(join(work, 'package'), { recursive: true, force: true });
  await rename(work, join(folder, release)).catch(async (error: NodeJS.ErrnoException) => {
    await rm(work, { recursive: true });
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
  return executable;
}

async function pinned(architecture: Architecture): Promise<{ version: string; integrity: string }> {
  const { packages } = JSON.parse(await readFile('package-lock.json', 'utf8')) as Lockfile;
  const entry = packages[`node_modules/node-linux-${architecture}`];
  if (!entry) throw new Error(`package-lock.json does not pin node-linux-${architecture}`);
  return entry;
}

async function nodeExecutable(architecture: Architecture, work: string): Promise<string> {
  const installed = join('node_modules', `node-linux-${architecture}`, 'bin', 'node');
  if (existsSync(installed)) return installed;
  await extract({ file: await fetchTarball(architecture), cwd: work }, ['package/bin/node']);
  return join(work, 'package', 'bin', 'node');
}

async function fetchTarball(architecture: Architecture): Promise<string> {
  const { version, integrity } = await pinned(architecture);
  const name = `node-linux-${architecture}`;
  const tarball = join(CACHE, `${name}-${version}.tgz`);
  if (!existsSync(tarball)) {
    await mkdir(CACHE, { recursive: true });
    const pack = ['pack', `${name}@${version}`, '--prefer-offline', '--silent', '--pack-destination', CACHE];
    await promisify(execFile)('npm', pack).catch((cause: unknown) => {
      throw new Error(
        `${name}@${version} is neither in ${CACHE} nor to be had with npm. ` +
          `For a binary of this machine alone: npm run build -- --host`,
        { cause },
      );
    });
  }
  const found = `sha512-${createHash('sha512')
    .update(await readFile(tarball))
    .digest('base64')}`;
  if (found === integrity) return tarball;
  await rm(tarball);
  throw new Error(`${tarball} is not what package-lock.json pins (${found}, not ${integrity}); it has been removed`);
}
