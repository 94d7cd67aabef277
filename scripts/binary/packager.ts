// Provides pkg, which makes the executable, as scripts/packager/package-lock.json pins it.
//
// pkg needs a newer Node than this project. Among the project's own packages, each `npm ci` on
// Node 20 would warn of it. The build runs npm and pkg with the Node that the binary holds.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { CACHE } from './node-binaries.ts';

const folder = join('scripts', 'packager');
const lockfile = 'package-lock.json';
export const PACKAGER_LOCK = join(folder, lockfile);

/** Returns the folder whose `node_modules` holds pkg. Installs pkg if the lock has changed. */
export async function providePackager(): Promise<string> {
  const digest = createHash('sha256').update(await readFile(PACKAGER_LOCK));
  const packager = join(CACHE, `packager-${digest.digest('hex').slice(0, 16)}`);
  if (existsSync(packager)) return packager;
  await mkdir(CACHE, { recursive: true });
  // The folder gets its final name when it is complete: two builds may run at the same time.
  const work = await mkdtemp(join(CACHE, '.packager-'));
  for (const file of ['package.json', lockfile]) await copyFile(join(folder, file), join(work, file));
  await install(work);
  await rename(work, packager).catch(async (error: NodeJS.ErrnoException) => {
    await rm(work, { recursive: true });
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
  return packager;
}

async function install(work: string): Promise<void> {
  const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  // npm starts the first `node` on PATH.
  const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}` };
  await promisify(execFile)('npm', ['ci', ...options], { cwd: work, env }).catch((cause: unknown) => {
    throw new Error(`npm could not install the packages of ${PACKAGER_LOCK}`, { cause });
  });
}
