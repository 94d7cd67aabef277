/**
 * Makes the base of the boot tests' machine: a small Debian with systemd and cloud-init. It is made
 * once and kept outside the repository.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** It has systemd 252 and cloud-init 22, as Amazon Linux 2023 has. */
const suite = 'bookworm';
const packages = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'cloud-init',
  'ca-certificates',
  'curl',
  'openssl',
  'xz-utils',
  'iproute2',
  'procps',
  'e2fsprogs',
];
const unread = ['doc', 'man', 'locale', 'info'];

/**
 * Returns a folder with the root's files, including `more` packages. Callers must not write to it.
 * The first call takes a minute or two.
 */
export async function ensureBase(more: readonly string[] = []): Promise<string> {
  const wanted = [...packages, ...more];
  const recipe = createHash('sha256')
    .update(JSON.stringify([suite, wanted, unread]))
    .digest('hex')
    .slice(0, 12);
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ecs-node', 'boot');
  const base = join(cache, recipe);
  if (await exists(base)) return base;
  await mkdir(cache, { recursive: true });
  // Renames the folder when it is complete, so that no later run uses an interrupted download.
  const unfinished = `${base}.${process.pid}`;
  const excludes = unread.map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`);
  try {
    await promisify(execFile)(
      'mmdebstrap',
      ['--quiet', '--variant=apt', `--include=${wanted.join(',')}`, ...excludes, suite, unfinished],
      { maxBuffer: 2 ** 24 },
    );
    await rename(unfinished, base);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
  return base;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
