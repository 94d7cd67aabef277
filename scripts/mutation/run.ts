// Runs a program with a time limit, and copies of the tree in which faults can be planted.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

export interface Run {
  code: number;
  output: string;
  hangs: boolean;
}

/** Starts a process group, so that a hanging process ends together with its children. */
export function run(file: string, args: readonly string[], cwd: string, timeoutMs: number): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    });
    let output = '';
    let hangs = false;
    const kill = () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    const timer = setTimeout(() => {
      hangs = true;
      kill();
    }, timeoutMs);
    process.once('exit', kill);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      process.off('exit', kill);
      resolve({ code: code ?? -1, output, hangs });
    });
  });
}

export function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) ?? '';
}

/**
 * Copies the tree once: a change that someone makes meanwhile must not count as a planted fault.
 * Everything but what git ignores, because a list of what the tests read is soon out of date.
 */
export async function copyTree(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'ecs-node-mutant-'));
  const listing = await run('git', ['ls-files', '-z', '-c', '-o', '--exclude-standard'], root, 10_000);
  if (listing.code !== 0) throw new Error(`git ls-files: ${lastLine(listing.output)}`);
  for (const path of listing.output.split('\0')) {
    // A file may be deleted and not committed yet.
    if (path !== '' && existsSync(join(root, path))) await cp(join(root, path), join(copy, path));
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}
