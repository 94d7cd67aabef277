// A file system that hangs in the kernel, below a path that the configuration watches.
import { chmod, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import type { Scene } from '../scenarios/scenario.ts';
import { settings, type Node, type StageOptions } from '../scenarios/stage.ts';
import { hang, hanging, release } from './hanging.ts';

/** Hangs `/mnt/share`, whose use the node measures. */
function hangingDisk(title: string, options: StageOptions, play: (scene: Scene, node: Node) => Promise<void>): void {
  const flags = settings({ 'disk.paths': '["/mnt/share"]' });
  hanging(title, { flags, prepare: hangDisk, ...options }, play);
}

/** The node's own `df` goes on for every other path, as simulated. */
async function hangDisk(node: Node): Promise<void> {
  await hang(node, '/mnt/share');
  const df = join(node.root, 'usr/bin/df');
  const simulated = await readFile(df, 'utf8');
  const real = `case "$*" in */mnt/share*) exec /usr/bin/df "$@";; esac`;
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
  hangingDisk(
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

  hangingDisk('says so in doctor, and ends within seconds when it is stopped', {}, async (scene, node) => {
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

  hangingDisk('measures it again when it is gone', {}, async (scene, node) => {
    await scene.inService(node);
    await scene.logged(node, 'disks not measured');
    await release(node);
    await waitFor('measured', async () => !/could not be measured/.test((await node.run(['status'])).stdout));
  });

  const many = Array.from({ length: 12 }, (_, at) => `/mnt/share/${at}`);
  hangingDisk(
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
