/**
 * Opens a world for one scenario: a process in its own namespaces. Its network, mounts and machine
 * end with it.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Layers } from './layers.ts';

export interface WorldOptions {
  /** The folder with scenario.ts and, in most cases, user-data. */
  scenario: string;
  layers: Layers;
  /** The folder of the published release. */
  release: string;
  /** The world makes its own folder in this one. */
  folder: string;
  signal: AbortSignal;
}

/** The longest scenarios boot twice, on a busy machine. */
const limitMs = 300_000;

/**
 * Returns an empty text on success. Otherwise the text names the failure and the files with journal
 * and console.
 */
export async function live({ scenario, layers, release, folder, signal }: WorldOptions): Promise<string> {
  const place = mkdtempSync(join(folder, 'world-'));
  // This folder stays after the world's end: journal, console and calls, for people.
  const words = join(import.meta.dirname, '../../../out/boot', basename(scenario));
  rmSync(words, { recursive: true, force: true });
  mkdirSync(words, { recursive: true });
  const namespaces = [
    '--mount',
    '--propagation=private',
    '--net',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--uts',
  ];
  const world = spawn('unshare', [...namespaces, process.execPath, join(import.meta.dirname, 'world.ts')], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', ECS_NODE_WORLD: basename(place) },
  });
  // The pipe stays open. When this process ends for any reason, the world reads the end of the pipe
  // and exits.
  world.stdin.write(`${JSON.stringify({ scenario, layers, release, place, words, limitMs })}\n`);
  let said = '';
  for (const stream of [world.stdout, world.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  // The world normally ends before this limit, and writes journal and console first.
  const limit = setTimeout(() => world.kill('SIGKILL'), limitMs + 20_000);
  const give = () => world.kill('SIGKILL');
  signal.addEventListener('abort', give);
  try {
    const [code] = (await once(world, 'close')) as [number | null];
    return code === 0 ? '' : `${said.trim() || `the world ended with ${code}`}\n(the machine's own words: ${words})`;
  } finally {
    clearTimeout(limit);
    signal.removeEventListener('abort', give);
    rmSync(place, { recursive: true, force: true });
  }
}
