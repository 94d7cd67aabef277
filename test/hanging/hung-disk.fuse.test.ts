// A file system that hangs in the kernel, below a path that the configuration watches.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import { scenario, type Scene } from '../scenarios/scenario.ts';
import { settings, type Node, type StageOptions } from '../scenarios/stage.ts';

const run = promisify(execFile);

const hung = new Map<string, { server: ChildProcess; folder: string }>();

/**
 * Every program that waits for the file system goes on with an error, and the folder is a plain
 * folder again. No program may touch it before.
 */
async function release({ root }: Node): Promise<void> {
  const found = hung.get(root);
  hung.delete(root);
  if (found === undefined) return;
  const { server, folder } = found;
  server.kill('SIGKILL');
  await once(server, 'exit');
  await run('umount', ['--lazy', folder]);
}

/** Hangs `/mnt/share` before the node boots, and never outlives the scenario. */
function hanging(title: string, options: StageOptions, play: (scene: Scene, node: Node) => Promise<void>): void {
  const flags = settings({ 'disk.paths': '["/mnt/share"]' });
  const prepare = (node: Node) => hang(node, '/mnt/share');
  scenario(title, { flags, prepare, ...options }, async (scene) => {
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

/**
 * Mounts it below the node's root. The node's own `df` goes on for every other path, as simulated.
 */
async function hang(node: Node, path: string): Promise<void> {
  const folder = join(node.root, path);
  await mkdir(folder, { recursive: true });
  const server = spawn('python3', [join(import.meta.dirname, 'never-answers.py'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  hung.set(node.root, { server, folder });
  await once(server.stdout, 'data');
  const df = join(node.root, 'usr/bin/df');
  const simulated = await readFile(df, 'utf8');
  const real = `case "$*" in *${path}*) exec /usr/bin/df "$@";; esac`;
  await writeFile(df, simulated.replace('#!/bin/sh\n', `#!/bin/sh\n${real}\n`));
  await chmod(df, 0o755);
}

/** Programs that ask this file system, whatever has become of the process that started them. */
async function countAsking(node: Node, path: string): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => /^\S*(df|stat)\0/.test(line) && line.includes(join(node.root, path))).length;
}

describe('a node with a file system that hangs', () => {
  hanging(
    'notices another full disk, publishes, names the unmeasured path, and leaves in time for a spot notice',
    { spot: true },
    async (scene, node) => {
      const { expect, simulator } = scene;
      await scene.inService(node);
      await node.fillDisk(97);
      await waitFor('DRAINING for the disk', () => scene.placements(node).at(-1) === 'DRAINING');
      await scene.logged(node, 'disks not measured');
      await waitFor('status says so', async () =>
        /\/mnt\/share could not be measured/.test((await node.run(['status'])).stdout),
      );
      await waitFor('published', () => node.calls().includes('cloudwatch:PutMetricData'));
      const began = performance.now();
      simulator.verbs.noticeSpot(node.id);
      await waitFor('the departure is on disk', async () =>
        /"cause": "spot"/.test((await node.read('var/lib/ecs-node/departure.json')) ?? ''),
      );
      expect(performance.now() - began).toBeLessThan(10_000);
      // However often it was measured: one with the others, one alone.
      expect(await countAsking(node, '/mnt/share')).toBeLessThanOrEqual(4);
    },
  );

  hanging('says so in doctor, and ends within seconds when it is stopped', {}, async (scene, node) => {
    const { expect } = scene;
    await scene.inService(node);
    await scene.logged(node, 'disks not measured');
    const { stdout } = await node.run(['doctor']);
    expect(stdout).toMatch(/unsure\s+disk: \/mnt\/share could not be measured/);
    expect(stdout).toMatch(/ok\s+disk: \/: 20 %/);
    const began = performance.now();
    await node.stop();
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  hanging('measures it again when it is gone', {}, async (scene, node) => {
    await scene.inService(node);
    await scene.logged(node, 'disks not measured');
    await release(node);
    await waitFor('measured', async () => !/could not be measured/.test((await node.run(['status'])).stdout));
  });

  const many = Array.from({ length: 12 }, (_, at) => `/mnt/share/${at}`);
  hanging(
    'below a dozen paths reads at most eight of them at a time, and measures the others',
    { flags: settings({ 'disk.paths': JSON.stringify(many) }) },
    async (scene, node) => {
      const { expect } = scene;
      await scene.inService(node);
      await scene.logged(node, 'disks not measured');
      await node.fillDisk(97);
      await waitFor('DRAINING for the disk', () => scene.placements(node).at(-1) === 'DRAINING');
      // Eight alone, and the first ones with all the others: of the watcher and of the metrics.
      expect(await countAsking(node, '/mnt/share')).toBeLessThanOrEqual(10);
    },
  );
});
