/** The shipped binary, and passwords that only their form shows. One a node: none hides another. */

import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, vi } from 'vitest';
import { scenario } from '../scenario.ts';
import { settings } from '../stage.ts';

vi.setConfig({ testTimeout: 300_000 });

const canary = 'canary-password';

const planted: Record<string, string[]> = {
  'the URL of a proxy': settings({ 'ecs.settings.HTTP_PROXY': `http://me:${canary}@127.0.0.1:3128` }),
  'the arguments of a check': settings({
    'join.checks': `[{command: [/bin/checks, -u, "user:${canary}", --password=${canary}]}]`,
  }),
};

describe('only root reads a password, and check does not print it, in', () => {
  for (const [where, flags] of Object.entries(planted)) {
    scenario(where, { boots: false, flags }, async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await node.write('bin/checks', '#!/bin/sh\n', 0o755);
      expect(await node.boot()).toBe(0);
      await scene.inService(node);
      const files = ['etc/ecs-node/config.yaml', 'etc/ecs/ecs.config', 'run/ecs-node/last-good.json'];
      const holding: string[] = [];
      for (const path of files) {
        if (!(await node.read(path))?.includes(canary)) continue;
        holding.push(path);
        const { mode } = await lstat(join(node.root, path));
        expect([path, (mode & 0o7777).toString(8)]).toEqual([path, '600']);
      }
      // It was there to be found.
      expect(holding).toContain('etc/ecs-node/config.yaml');
      for (const words of [['check'], ['check', '--verbose'], ['status'], ['doctor']]) {
        const { stdout, stderr } = await node.run(words);
        expect([words, `${stdout}${stderr}`]).toEqual([words, expect.not.stringContaining(canary)]);
      }
    });
  }
});
