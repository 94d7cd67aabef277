/** Nodes with a file system that hangs in the kernel. */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { scenario, type Scene } from '../scenarios/scenario.ts';
import type { Node, StageOptions } from '../scenarios/stage.ts';

const run = promisify(execFile);

const hung = new Map<string, { server: ChildProcess; folder: string }>();

/** Mounts it below the node's root. */
export async function hang(node: Node, path: string): Promise<void> {
  const folder = join(node.root, path);
  await mkdir(folder, { recursive: true });
  const server = spawn('python3', [join(import.meta.dirname, 'never-answers.py'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  hung.set(node.root, { server, folder });
  await once(server.stdout, 'data');
}

/**
 * Every program that waits for the file system goes on with an error, and the folder is a plain
 * folder again. No program may touch it before.
 */
export async function release({ root }: Node): Promise<void> {
  const found = hung.get(root);
  hung.delete(root);
  if (found === undefined) return;
  const { server, folder } = found;
  server.kill('SIGKILL');
  await once(server, 'exit');
  await run('umount', ['--lazy', folder]);
}

/** A scenario that releases its file systems, and that they never outlive. */
export function hanging(title: string, options: StageOptions, play: (scene: Scene, node: Node) => Promise<void>): void {
  scenario(title, options, async (scene) => {
    const node = await scene.launch();
    // Before vitest gives up: a scenario that is cut off would leave the folder hung, and its
    // removal would hang vitest.
    const cutOff = new Promise<never>((_, reject) =>
      setTimeout(() => reject(new Error('takes too long')), 90_000).unref(),
    );
    try {
      await Promise.race([play(scene, node), cutOff]);
    } finally {
      await Promise.all(scene.nodes.map(release));
    }
  });
}
