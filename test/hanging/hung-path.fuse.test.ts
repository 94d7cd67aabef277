// A file system that hangs in the kernel, below a path that the node writes to or runs.
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from 'vitest';
import { paths } from '../../core/state/state.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import type { Scene } from '../scenarios/scenario.ts';
import { group, settings, type Node } from '../scenarios/stage.ts';
import { hang, hanging, release } from './hanging.ts';

const program = (line: string) => `#!/bin/sh\n${line}\n`;

/** Each took a minute until systemd's watchdog, and then hung again. */
async function noticesSpotAndStops({ expect, simulator }: Scene, node: Node): Promise<void> {
  const began = performance.now();
  simulator.verbs.noticeSpot(node.id);
  await waitFor('the departure is on disk', async () =>
    /"cause": "spot"/.test((await node.read('var/lib/ecs-node/departure.json')) ?? ''),
  );
  expect(performance.now() - began).toBeLessThan(10_000);
  const noticed = performance.now();
  await node.stop();
  expect(performance.now() - noticed).toBeLessThan(10_000);
}

describe('a node that is told to use a file system that hangs', () => {
  const textfile = { flags: settings({ 'metrics.textfile': '/mnt/share/node.prom' }), spot: true };

  hanging(
    'for its metrics publishes them to CloudWatch, notices a spot notice, and ends when it is stopped',
    { ...textfile, prepare: (node) => hang(node, '/mnt/share') },
    async (scene, node) => {
      await scene.inService(node);
      await scene.logged(node, 'metrics not published');
      const failed = node.log.find(({ message }) => message === 'metrics not published');
      scene
        .expect(failed?.['error'])
        .toMatch(/^\/mnt\/share\/node\.prom: its file system \(fuse\.hangs at .* does not/);
      await waitFor('published', () => node.calls().includes('cloudwatch:PutMetricData'));
      await noticesSpotAndStops(scene, node);
    },
  );

  hanging(
    'for its metrics writes them there when it answers again',
    { ...textfile, prepare: (node) => hang(node, '/mnt/share') },
    async (scene, node) => {
      await scene.logged(node, 'metrics not published');
      await release(node);
      await waitFor('written', async () => /# EOF/.test((await node.read('mnt/share/node.prom')) ?? ''));
    },
  );

  const checks = {
    flags: settings({ 'join.checks': '[{command: [/mnt/share/check], timeoutSeconds: 3}]' }),
    spot: true,
    async prepare(node: Node) {
      await node.write('/mnt/share/check', program('exit 0'), 0o755);
      await hang(node, '/mnt/share');
    },
  };
  const isNamed = (node: Node) => () =>
    node.log.some(({ missing }) => /^\/mnt\/share\/check: its file system .* does not answer$/.test(String(missing)));

  hanging('for a check waits, notices a spot notice, and ends when it is stopped', checks, async (scene, node) => {
    await waitFor('it says so', isNamed(node));
    await noticesSpotAndStops(scene, node);
  });

  hanging('for a check joins when it answers again', checks, async (scene, node) => {
    await waitFor('it says so', isNamed(node));
    scene.expect(node.state()).toBe('Pending:Wait');
    await release(node);
    await scene.inService(node);
  });

  hanging(
    'for a hook, or a folder of them, runs the other hooks and leaves',
    {
      async prepare(node) {
        const at = (path: string) => join(node.root, path);
        await node.write(`${paths.hooks}/leaving/20-local`, program(`touch '${at('ran')}'`), 0o755);
        await mkdir(at('mnt'), { recursive: true });
        await symlink(at('mnt/share/hook'), at(`${paths.hooks}/leaving/10-linked`));
        await symlink(at('mnt/share'), at(`${paths.hooks}/left`));
        await hang(node, '/mnt/share');
      },
    },
    async (scene, node) => {
      const { expect, simulator } = scene;
      await scene.inService(node);
      await scene.logged(node, 'joined');
      simulator.verbs.setDesiredCapacity(group, 0);
      await scene.gone(node);
      expect(await node.read('ran')).toBe('');
      const failed = node.log.filter(({ message }) => /^hooks? (failed|not listed)$/.test(message));
      expect(failed.map(({ error }) => error)).toEqual([
        expect.stringMatching(/leaving\/10-linked: its file system \(fuse\.hangs at .*mnt\/share\) does not answer/),
        expect.stringMatching(/hooks\.d\/left: its file system \(fuse\.hangs/),
      ]);
    },
  );
});
