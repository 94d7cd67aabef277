/**
 * Opens a world for one scenario: a process in namespaces of its own. When it is gone, so are its
 * network, mounts and machine.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Layers } from './layers.ts';

export interface WorldOptions {
  /** Folder with scenario.ts and, mostly, user-data. */
  scenario: string;
  layers: Layers;
  /** Folder of the published release. */
  release: string;
  /** Below which the world gets a folder. */
  folder: string;
  signal: AbortSignal;
}

/** The longest scenario waits for half a minute of silence, twice. */
const limitMs = 150_000;

/**
 * Empty when all went as it should; else what went wrong, and where the machine's own words are
 * kept.
 */
export async function live({ scenario, layers, release, folder, signal }: WorldOptions): Promise<string> {
  const place = mkdtempSync(join(folder, 'world-'));
  // Outlives the world, for people: journal, console, calls.
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
  // Left open: when we are gone, however that came, the world sees its end and goes as well.
  world.stdin.write(`${JSON.stringify({ scenario, layers, release, place, words, limitMs })}\n`);
  let said = '';
  for (const stream of [world.stdout, world.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  // The world ends by itself first, and writes down what the machine said.
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
